import Tensors

/// Focal loss (Lin et al., 2017) of a softmax over classes: rows that are classified well count less.
///
///     L = −(1/B) Σ_i (1 − p)^γ log p,  p = p_i[t_i]
///     ∂L_i/∂z_k = g(p)·(p_k − [k = t_i])/B,  g(p) = (1 − p)^γ − γ p (1 − p)^{γ−1} log p
///
/// Rows are independent, so each rank computes its own.
package struct Focal: LossTerm, Options {
  package var weight = 1.0
  package var exponent = 2.0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [.weight(\.weight), .number("exponent", \.exponent, 0...16, "γ; 0 is the cross-entropy.")]
  }

  package var name: String { "focal" }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let classes = batch.classes, scale = 1 / Double(batch.rows)
    var gradient = [S](repeating: S(0), count: batch.logits.count), loss = 0.0
    batch.forEachSoftmax { row, label, softmax in
      let p = softmax.exponentials[label] / softmax.sum
      // 1 − p from the others, which does not cancel where p is near 1.
      var others = S(0)
      for i in 0..<classes where i != label { others += softmax.exponentials[i] }
      let rest = others / softmax.sum
      let logP = softmax.logProbability(label)
      // (1 − p)^γ; rest is 0 where float64 has no more of it, and so is what it weighs.
      let power = rest.value > 0 ? (S(exponent) * rest.logarithm()).exponential() : S(exponent == 0 ? 1 : 0)
      let slope = rest.value > 0 ? power - S(exponent) * p * power / rest * logP : power
      loss -= power.value * logP.value * scale
      let factor = slope * S(scale) / softmax.sum
      for i in 0..<classes where i != label { gradient[row * classes + i] = softmax.exponentials[i] * factor }
      gradient[row * classes + label] = -(others * factor)
    }
    return LossGradient(.share(loss), logits: gradient)
  }
}
