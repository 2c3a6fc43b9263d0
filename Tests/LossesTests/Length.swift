import Losses
import Tensors

/// Mean squared length of the embeddings: L = (1/2B) Σ_i ‖e_i‖², ē_i = e_i/B. Rows are independent.
package struct Length: LossTerm, Options {
  package var weight = 1.0

  package init() {}
  package static var fields: [OptionField<Self>] { [.weight(\.weight)] }

  package var name: String { "length" }
  package var readsLogits: Bool { false }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let inverse = S(1 / Double(batch.rows))
    var loss = 0.0, gradient: [S] = []
    for row in batch.own {
      for e in batch.embedding(row) {
        loss += e.value * e.value / (2 * Double(batch.rows))
        gradient.append(e * inverse)
      }
    }
    return LossGradient(.share(loss), embeddings: gradient)
  }
}
