import Tensors

/// Contrastive loss (Hadsell et al., 2006) over all P = B(B − 1)/2 pairs of rows of the global batch:
///
///     L = (1/P) Σ_{a < b} ℓ(a, b),   ℓ = d² where a and b are of one identity, else max(0, m − d)²
///     d(a, b) = √max(‖a − b‖², 10⁻¹²)
///     ∂ℓ/∂a = 2(a − b) = −∂ℓ/∂b, or −2(m − d)(a − b)/d         (0 where the hinge is closed or d is clamped)
///
/// Each rank computes the pairs of its rows, half of each in the loss. A batch of one row has no pair and no loss.
package struct Contrastive: LossTerm, Options {
  package var weight = 1.0
  package var margin = 1.0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight),
      .number("margin", \.margin, 0...1e6, "m: the distance beyond which rows of different identities are left alone."),
    ]
  }

  package var readsLogits: Bool { false }
  package var needsPairs: Bool { true }
  package var name: String { "contrastive" }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let length = batch.length, rows = batch.rows, x = batch.embeddings
    let inverse = rows > 1 ? 1 / (Double(rows) * Double(rows - 1)) : 0
    var gradient = [S](repeating: S(0), count: batch.own.count * length), loss = 0.0
    for row in batch.own {
      let target = (row - batch.own.lowerBound) * length
      for other in 0..<rows where other != row {
        var square = S(0)
        for i in 0..<length {
          let difference = x[row * length + i] - x[other * length + i]
          square += difference * difference
        }
        let factor: S
        if batch.labels[row] == batch.labels[other] {
          loss += square.value * inverse
          factor = S(4 * inverse)
        } else {
          let isClamped = square.value < 1e-12
          let distance = isClamped ? S(1e-6) : square.squareRoot(), hinge = S(margin) - distance
          // Not `> 0`: a NaN stays one.
          if hinge.value <= 0 { continue }
          loss += hinge.value * hinge.value * inverse
          if isClamped { continue }
          factor = -(S(4 * inverse) * hinge / distance)
        }
        for i in 0..<length {
          gradient[target + i] += factor * (x[row * length + i] - x[other * length + i])
        }
      }
    }
    return LossGradient(.share(loss), embeddings: gradient)
  }
}
