import Tensors

/// Ranked list loss (Wang et al., "Ranked List Loss for Deep Metric Learning", CVPR 2019; as "Multi-Level Deep Learning Vehicle
/// Re-Identification using Ranked-Based Loss Functions", ICPR 2020, uses it) over all B rows of the global batch, of unit
/// embeddings:
///
///     L = (1/B) Σ_a ½(L⁺_a + L⁻_a)
///     L⁺ = the mean of d − (α − m) over the positives with d > α − m
///     L⁻ = Σ w(α − d)/Σ w over the negatives with d < α,  w = e^{T(α − d)}, held constant in the gradient
///
/// Positives are drawn within α − m of the row and no nearer, negatives pushed beyond α, the near ones more. Every rank computes the
/// whole loss and takes the gradient of its rows.
package struct RankedList: LossTerm, Options {
  package var weight = 1.0
  package var boundary = 1.2
  package var margin = 0.4
  package var temperature = 10.0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight),
      .number("boundary", \.boundary, 0...2, "α: how far negatives have to be; unit embeddings are 2 apart at most."),
      .number("margin", \.margin, 0...2, "m: by how much nearer positives have to be."),
      .number("temperature", \.temperature, 0...100, "T: by how much more the nearest negatives count."),
    ]
  }

  package var name: String { "rankedList" }
  package var readsLogits: Bool { false }
  package var needsPairs: Bool { true }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let rows = batch.rows, distances = PairDistances(batch), half = 0.5 / Double(rows)
    var slopes: [PairDistances<S>.Slope] = [], loss = 0.0
    for anchor in 0..<rows {
      var positives: [Int] = [], negatives: [Int] = []
      for other in 0..<rows where other != anchor {
        let d = distances[anchor, other].value
        if batch.labels[other] == batch.labels[anchor] {
          if !(d <= boundary - margin) { positives.append(other) }
        } else if !(d >= boundary) {
          negatives.append(other)
        }
      }
      for other in positives {
        loss += half * (distances[anchor, other].value - boundary + margin) / Double(positives.count)
        slopes.append((anchor, other, S(half / Double(positives.count))))
      }
      let weights = negatives.map { (S(temperature) * (S(boundary) - distances[anchor, $0])).exponential().value }
      let total = weights.reduce(0, +)
      for (other, weight) in zip(negatives, weights) {
        loss += half * weight / total * (boundary - distances[anchor, other].value)
        slopes.append((anchor, other, S(-half * weight / total)))
      }
    }
    return LossGradient(.whole(loss), embeddings: distances.pullBack(slopes, own: batch.own))
  }
}
