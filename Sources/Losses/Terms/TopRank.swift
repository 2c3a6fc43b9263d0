import Tensors

/// The deep top-rank counter ("Deep Top-Rank Counter Metric for Person Re-Identification", ICPR 2020; reconstructed from the
/// abstract): how many of a row's positives are ranked above its negatives, counted smoothly by a generalized logistic function, of
/// unit embeddings:
///
///     L = 1 − m(C_a),  C_a = the mean over positives p of g(d(a, n*) − d(a, p)),  g(x) = (1 + Qe^{−βx})^{−1/ν}
///     ∂g/∂x = (βQ/ν)·e^{−βx}·(1 + Qe^{−βx})^{−1/ν − 1}
///
/// m is the mean over the rows that have a positive and a negative, n* the k-th nearest negative: of `steps` steps k falls from all
/// negatives to the nearest one, so that rows are asked for more as they learn (progressive mining). For β → ∞ it
/// is the exact count. Of equal distances the first row is mined, and n* is one and the same in all passes. Every rank computes the whole loss and
/// takes the gradient of its rows.
package struct TopRank: LossTerm, Options {
  package var weight = 1.0
  package var slope = 10.0
  package var asymmetry = 1.0
  package var shape = 1.0
  package var steps = 0

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight),
      .number("slope", \.slope, 1e-3...1e3, "β: how sharply it is counted."),
      .number("asymmetry", \.asymmetry, 1e-3...1e3, "Q: what a tie counts is (1 + Q)^(−1/ν)."),
      .number("shape", \.shape, 1e-2...1e2, "ν: on which side the count is steeper."),
      .integer(
        "steps", \.steps, 0...1_000_000_000,
        "Over how many steps the negative that counts moves from the farthest to the nearest; 0: the nearest at once."),
    ]
  }

  package var name: String { "topRank" }
  package var readsLogits: Bool { false }
  package var needsPairs: Bool { true }

  /// Which of `negatives` in order of distance counts, from 0 on.
  package func place(_ negatives: Int, step: Int) -> Int {
    guard step < steps else { return 0 }
    return Int((Double(negatives - 1) * (1 - Double(step) / Double(steps))).rounded())
  }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let rows = batch.rows, labels = batch.labels, distances = PairDistances(batch)
    let positives = (0..<rows).map { a in (0..<rows).filter { $0 != a && labels[$0] == labels[a] } }
    let negatives = (0..<rows).map { a in (0..<rows).filter { labels[$0] != labels[a] } }
    let anchors = (0..<rows).filter { !positives[$0].isEmpty && !negatives[$0].isEmpty }
    var slopes: [PairDistances<S>.Slope] = [], counted = 0.0
    for anchor in anchors {
      let order = negatives[anchor].sorted {
        let (a, b) = (distances[anchor, $0].value, distances[anchor, $1].value)
        return a != b ? a < b : $0 < $1
      }
      let negative = order[place(order.count, step: batch.step)]
      let share = 1 / Double(anchors.count * positives[anchor].count)
      for positive in positives[anchor] {
        let (value, slope) = counter(distances[anchor, negative] - distances[anchor, positive])
        counted += share * value.value
        slopes.append((anchor, positive, S(share) * slope))
        slopes.append((anchor, negative, S(-share) * slope))
      }
    }
    return LossGradient(
      .whole(anchors.isEmpty ? 0 : 1 - counted), embeddings: distances.pullBack(slopes, own: batch.own))
  }

  /// g and its derivative, through logarithms: powers of e leave no number.
  private func counter<S: RealNumber>(_ x: S) -> (value: S, slope: S) {
    let exponent = S(asymmetry).logarithm() - S(slope) * x, rest = exponent.softplus()
    let value = (-(rest * S(1 / shape))).exponential()
    return (value, value * exponent.sigmoid() * S(slope / shape))
  }
}
