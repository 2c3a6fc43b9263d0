import Tensors

/// Centre loss (Wen et al., 2016): embeddings are drawn to a trained centre w of their class.
///
///     L = (1/2B) Σ_i ‖e_i − w_{t_i}‖²          ē_i = (e_i − w_{t_i})/B          w̄_k = −Σ_{t_i = k} (e_i − w_k)/B
///
/// The centres are trained by the optimizer like any parameter. Rows are independent, so each rank computes its own.
package struct Centre: LossTerm, Options {
  package var weight = 5e-4

  package init() {}

  package static var fields: [OptionField<Self>] { [.weight(\.weight)] }

  package var readsLogits: Bool { false }
  package var name: String { "centre" }

  package func parameters(classes: Int, length: Int) -> [Int]? { [classes, length] }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let length = batch.length, inverse = S(1 / Double(batch.rows))
    var rows: [S] = [], centres = [S](repeating: S(0), count: batch.parameters.count), loss = 0.0
    for row in batch.own {
      let centre = batch.labels[row] * length
      for i in 0..<length {
        let difference = batch.embeddings[row * length + i] - batch.parameters[centre + i]
        loss += difference.value * difference.value / (2 * Double(batch.rows))
        rows.append(difference * inverse)
        centres[centre + i] -= difference * inverse
      }
    }
    return LossGradient(.share(loss), embeddings: rows, parameters: centres)
  }
}
