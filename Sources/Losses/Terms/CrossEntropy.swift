import Foundation
import Tensors

/// Cross-entropy of a softmax over classes, with label smoothing (Szegedy et al., 2016) of α:
///
///     L = −(1/B) Σ_i Σ_k q_ik log p_ik,  q_ik = (1 − α)[k = t_i] + α/K          z̄_i = (p_i − q_i) / B
///
/// In a row of two images, of which the second has the share s, (1 − s)[k = t_i] + s[k = u_i] stands for [k = t_i] (mixup).
/// Rows are independent, so each rank computes its own.
package struct CrossEntropy: LossTerm, Options {
  package var weight = 1.0
  package var smoothing = 0.0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight),
      .number("smoothing", \.smoothing, 0...1, "α: the share of every label that goes to all classes alike."),
    ]
  }

  package var name: String { "crossEntropy" }
  package var takesMixes: Bool { true }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let classes = batch.classes, scale = 1 / Double(batch.rows)
    var gradient = [S](repeating: S(0), count: batch.logits.count), loss = 0.0
    batch.forEachSoftmax { row, label, softmax in
      let factor = S(scale) / softmax.sum
      for i in 0..<classes {
        gradient[row * classes + i] = softmax.exponentials[i] * factor
        if smoothing > 0 { gradient[row * classes + i] -= S(scale * smoothing / Double(classes)) }
      }
      let second = batch.second.isEmpty ? nil : batch.second[row], first = 1 - (second?.share ?? 0)
      gradient[row * classes + label] -= S(scale * (1 - smoothing) * first)
      loss += (softmax.logSum - softmax.logit(label)) * scale * (1 - smoothing) * first
      if let second {
        precondition(second.label >= 0 && second.label < classes)
        gradient[row * classes + second.label] -= S(scale * (1 - smoothing) * second.share)
        loss += (softmax.logSum - softmax.logit(second.label)) * scale * (1 - smoothing) * second.share
      }
      if smoothing > 0 {
        let mean = (0..<classes).reduce(0) { $0 + softmax.logit($1) } / Double(classes)
        loss += (softmax.logSum - mean) * scale * smoothing
      }
    }
    return LossGradient(.share(loss), logits: gradient)
  }
}

extension LossBatch {
  /// Every row of this rank by its number, the class of its label and the softmax of its logits.
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func forEachSoftmax(_ body: (_ row: Int, _ label: Int, _ softmax: Softmax<S>) -> Void) {
    for (row, label) in labels[own].enumerated() {
      precondition(label >= 0 && label < classes)
      body(row, label, Softmax(logits[row * classes..<(row + 1) * classes]))
    }
  }
}

/// e^{z − largest} of a row of logits; the largest cancels in all that is made of it.
package struct Softmax<S: RealNumber> {
  package let exponentials: [S], sum: S
  private let logits: ArraySlice<S>, largest: Double

  package init(_ logits: ArraySlice<S>) {
    let largest = logits.lazy.map { $0.value }.max()!
    var exponentials: [S] = [], sum = S(0)
    exponentials.reserveCapacity(logits.count)
    for z in logits {
      let e = (z - S(largest)).exponential()
      exponentials.append(e)
      sum += e
    }
    (self.logits, self.largest, self.exponentials, self.sum) = (logits, largest, exponentials, sum)
  }

  /// log Σ e^z.
  package var logSum: Double { log(sum.value) + largest }

  func logProbability(_ index: Int) -> S {
    logits[logits.startIndex + index] - S(largest) - sum.logarithm()
  }

  package func logit(_ index: Int) -> Double { logits[logits.startIndex + index].value }
}
