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
/// The α of circle are held constant in the gradient, as its authors' are. Rows are independent, so each rank computes its
/// own.
package struct Margin: LossTerm, Options {
  package enum Kind: String, CaseIterable, Sendable { case additive, angular, circle }

  package var weight = 1.0
  package var kind = Kind.angular
  package var scale = 30.0
  package var margin = 0.5

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight), .word("kind", \.kind, "AM-Softmax (CosFace), ArcFace or Circle loss."),
      .number("scale", \.scale, 1e-3...1e4, "s: what the cosines are multiplied by."),
      .number("margin", \.margin, 0...1.5, "m: a cosine, or with `angular` an angle in radians."),
    ]
  }

  package var name: String { "\(kind.rawValue)Margin" }
  package var readsCosines: Bool { true }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let classes = batch.classes
    var moved: [S] = [], slopes: [S] = []
    for (row, label) in batch.labels[batch.own].enumerated() {
      for i in 0..<classes {
        let (logit, slope) = logit(batch.logits[row * classes + i], isLabel: i == label)
        moved.append(logit)
        slopes.append(slope)
      }
    }
    let inner = CrossEntropy().evaluate(
      LossBatch(
        embeddings: [], length: 0, logits: moved, classes: classes, labels: batch.labels, own: batch.own))
    return LossGradient(inner.value, logits: zip(inner.logits ?? [], slopes).map { $0 * $1 })
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
