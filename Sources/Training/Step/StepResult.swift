import Collectives
import Foundation
import Kernels
import Layers
import Losses
import Tensors

/// The parts of J = L + λR + P + N of a step; the same on every rank.
package struct StepLoss: Sendable {
  package private(set) var total: Double
  /// The terms of L by name, before their weights.
  package let terms: [(name: String, value: Double)]
  /// R, before λ; nil without the gradient regularizer.
  package private(set) var msgr: Double?
  /// P; nil without adaptive L2.
  package private(set) var adaptiveL2: Double?
  /// N; nil without norm loss.
  package private(set) var normLoss: Double?
  /// Images, over all ranks.
  package let rows: Int

  init(_ value: ReIDLoss.Value) {
    (total, terms, rows) = (value.total, value.terms, value.rows)
  }

  /// Whether L itself is finite.
  package var termsAreFinite: Bool { terms.allSatisfy { $0.value.isFinite } }

  /// The parts, for a line of the log.
  package var summary: String {
    var parts = terms.map { String(format: "%@ %.3f", $0.name == "crossEntropy" ? "ce" : $0.name, $0.value) }
    if let msgr { parts.append(String(format: "msgr %.3f", msgr)) }
    if let adaptiveL2 { parts.append(String(format: "l2 %.3f", adaptiveL2)) }
    if let normLoss { parts.append(String(format: "norm %.3f", normLoss)) }
    return parts.joined(separator: " ")
  }

  mutating func add(msgr value: Double, lambda: Double) {
    msgr = value
    total += lambda * value
  }

  mutating func add(normLoss value: Double) {
    normLoss = value
    total += value
  }

  mutating func add(adaptiveL2 value: Double) {
    adaptiveL2 = value
    total += value
  }
}

/// What `TrainingStep.differentiate` returns beside the gradients.
package struct Differentiated<A: Element> {
  package var loss: StepLoss
  /// Of each head, of this rank's rows.
  package let outputs: [HeadValues<A>]
  /// The statistics to move if the step counts.
  package let updates: RunningUpdates
  /// Where asked for.
  package var tangents: TangentReport?
  /// The gradients of features overflowed the storage, and there are none of parameters.
  package var overflowed = false
}

/// What a step came to; the same on every rank.
package struct StepResult: Sendable {
  package let loss: StepLoss
  /// The loss scale that the step was computed with.
  package let lossScale: Double
  /// τ that the step was computed with.
  package let tangentScale: Double
  /// With the gradient regularizer, at log level debug.
  package let tangents: TangentReport?
  /// The Euclidean norm of the gradients of all parameters before they were clipped; with `optimizer.clipNorm`.
  package let gradientNorm: Double?
  /// The tensor whose gradient was not finite, if the step was skipped.
  package let skippedFor: String?
}

/// How the tangents of a step, over all ranks, fit the storage.
package struct TangentReport: Sendable {
  /// τ.
  package let scale: Double
  /// The share of elements that are zero: what is too small for float16 is among them.
  package let zeros: Double
  /// The largest magnitude as stored, τ times the true one.
  package let largest: Double

  init<E: Element>(_ tensors: [Tensor<E>], _ scale: Double, _ context: Context<E>) throws {
    var counts = [0.0, 0.0], largest = [0.0]
    for tensor in tensors where !context.workers.isRehearsal {
      let magnitudes = context.kernels.magnitudes(tensor.pointer, tensor.shape.count)
      largest[0] = max(largest[0], magnitudes.largest)
      counts[0] += magnitudes.zeros
      counts[1] += Double(tensor.shape.count)
    }
    try context.communicator.allreduce(&counts, .sum)
    try context.communicator.allreduce(&largest, .max)
    (self.scale, zeros, self.largest) = (scale, counts[0] / max(1, counts[1]), largest[0])
  }

  package var summary: String {
    "tangents ×\(scale): zeros \((1000 * zeros).rounded() / 10) %, largest \(Float(largest))"
  }
}
