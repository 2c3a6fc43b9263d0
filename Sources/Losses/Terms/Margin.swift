import Foundation
import Tensors

/// Softmax losses over cosines c = ê·ŵ of an embedding and the classes' weights, with a margin m at the label's and a scale s:
///
/// | kind | the label's logit | the others' |
/// |---|---|---|
/// | additive (AM-Softmax, CosFace; Wang et al., 2018) | s(c − m) | s c |
/// | angular (ArcFace; Deng et al., 2019) | s cos(θ + m), θ = arccos c; beyond π − m, s(c − m sin m) | s c |
/// | circle (Circle loss; Sun et al., 2020) | s α_p(c − 1 + m), α_p = max(0, 1 + m − c) | s α_n(c − m), α_n = max(0, c + m) |
///
///     L = −(1/B) Σ_i log softmax(logits)[t_i]
///
/// With an entropy penalty β > 0 (Sovrasov and Sidnev, "Building Computationally Efficient and Well-Generalizing Person
/// Re-Identification Models with Metric Learning", ICPR 2020) confident rows fall out of the loss, and what is left is averaged
/// over the rows of all ranks that are left:
///
///     L = Σ_i max(0, ℓ_i − βH(p_i)) / max(1, rows above 0),  H = −Σ_k p_k log p_k,  ∂H/∂z_k = −p_k(log p_k + H)
///
/// The α of circle are held constant in the gradient, as its authors' are. Rows are independent, so each rank computes its
/// own.
package struct Margin: LossTerm, Options {
  package enum Kind: String, CaseIterable, Sendable { case additive, angular, circle }

  package var weight = 1.0
  package var kind = Kind.angular
  package var scale = 30.0
  package var margin = 0.5
  package var entropy = 0.0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight), .word("kind", \.kind, "AM-Softmax (CosFace), ArcFace or Circle loss."),
      .number("scale", \.scale, 1e-3...1e4, "s: what the cosines are multiplied by."),
      .number("margin", \.margin, 0...1.5, "m: a cosine, or with `angular` an angle in radians."),
      .number("entropy", \.entropy, 0...1e3, "β: what of its entropy a row is forgiven; 0 for none."),
    ]
  }

  package var name: String { "\(kind.rawValue)Margin" }
  package var readsCosines: Bool { true }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let (moved, slopes) = moved(batch)
    guard entropy == 0 else { return penalized(batch, moved, slopes) }
    let inner = CrossEntropy().evaluate(
      LossBatch(
        embeddings: [], length: 0, logits: moved, classes: batch.classes, labels: batch.labels, own: batch.own))
    return LossGradient(inner.value, logits: zip(inner.logits ?? [], slopes).map { $0 * $1 })
  }

  /// The logits of this rank's rows, and their derivatives by the cosines.
  private func moved<S: RealNumber>(_ batch: LossBatch<S>) -> (logits: [S], slopes: [S]) {
    let classes = batch.classes
    var moved: [S] = [], slopes: [S] = []
    for (row, label) in batch.labels[batch.own].enumerated() {
      for i in 0..<classes {
        let (logit, slope) = logit(batch.logits[row * classes + i], isLabel: i == label)
        moved.append(logit)
        slopes.append(slope)
      }
    }
    return (moved, slopes)
  }

  /// Whether a row is above 0, for each of this rank's, where rows can fall out.
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func choices<S: RealNumber>(_ batch: LossBatch<S>) -> [Int]? {
    guard entropy > 0 else { return nil }
    let logits = moved(batch).logits
    return batch.labels[batch.own].enumerated().map { row, label in
      // A NaN counts: it has to show.
      penalized(logits[row * batch.classes..<(row + 1) * batch.classes], label).loss.value <= 0 ? 0 : 1
    }
  }

  private func penalized<S: RealNumber>(_ batch: LossBatch<S>, _ logits: [S], _ slopes: [S]) -> LossGradient<S> {
    let classes = batch.classes, choices = batch.choices ?? choices(batch) ?? []
    let inverse = 1 / Double(max(1, choices.reduce(0, +)))
    var loss = 0.0, gradient: [S] = []
    for (row, label) in batch.labels[batch.own].enumerated() {
      let own = row * classes..<(row + 1) * classes, (value, slope) = penalized(logits[own], label)
      let isLeft = !(value.value <= 0)
      if isLeft { loss += value.value * inverse }
      for (bar, at) in zip(slope, own) { gradient.append(isLeft ? bar * slopes[at] * S(inverse) : S(0)) }
    }
    return LossGradient(.share(loss), logits: gradient)
  }

  /// ℓ − βH of a row, and its gradient.
  private func penalized<S: RealNumber>(_ logits: ArraySlice<S>, _ label: Int) -> (loss: S, gradient: [S]) {
    let softmax = Softmax(logits), logs = (0..<logits.count).map(softmax.logProbability)
    let shares = softmax.exponentials.map { $0 / softmax.sum }
    // p log p is 0 where p is.
    let terms = zip(shares, logs).map { $0.value == 0 ? S(0) : $0 * $1 }
    let entropy = -terms.reduce(S(0), +), factor = S(self.entropy)
    let gradient = shares.indices.map { k in
      shares[k] - S(k == label ? 1 : 0) + factor * (terms[k] + shares[k] * entropy)
    }
    return (-logs[label] - factor * entropy, gradient)
  }

  /// The logit of a cosine, and its derivative.
  private func logit<S: RealNumber>(_ c: S, isLabel: Bool) -> (S, S) {
    let s = S(scale), m = S(margin)
    switch kind {
    case .circle:
      let weight = isLabel ? S(max(0, 1 + margin - c.value)) : S(max(0, c.value + margin))
      return (s * weight * (isLabel ? c - S(1) + m : c - m), s * weight)
    case .additive:
      return (isLabel ? s * (c - m) : s * c, s)
    case .angular:
      guard isLabel else { return (s * c, s) }
      guard c.value > cos(.pi - margin) else { return (s * (c - S(margin * sin(margin))), s) }
      // cos(θ + m) = c cos m − sin θ sin m; its slope is infinite at c = 1, where rounding may lead.
      let square = S(1) - c * c, sine = square.value > 1e-12 ? square.squareRoot() : S(1e-6)
      return (s * (c * S(cos(margin)) - sine * S(sin(margin))), s * (S(cos(margin)) + c / sine * S(sin(margin))))
    }
  }
}
