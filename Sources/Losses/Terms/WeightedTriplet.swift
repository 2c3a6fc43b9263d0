import Tensors

/// Weighted regularization triplet loss of AGW (Ye et al., 2022, Eq. 3) over all B rows of the global batch:
///
///     L = (1/B) Σ_a softplus(f_a − n_a),   f_a = Σ_p w_p d(a, p),  n_a = Σ_n w_n d(a, n)
///     w_p = softmax of d(a, p) over the rows p of a's identity, a itself among them; w_n = softmax of −d(a, n) over those of others
///     d(a, b) = √max(‖a − b‖², 10⁻¹²)
///     ∂f/∂d(a, p) = w_p (1 + d(a, p) − f),  ∂n/∂d(a, n) = w_n (1 − d(a, n) + n)      (0 where d is clamped)
///
/// Every positive and negative counts, the hard ones more, and there is no margin. Anchors of a batch with a single identity
/// have no negative and no loss. Every rank computes the whole loss and takes the gradient of its rows.
package struct WeightedTriplet: LossTerm, Options {
  package var weight = 1.0

  package init() {}

  package static var fields: [OptionField<Self>] { [.weight(\.weight)] }

  package var readsLogits: Bool { false }
  package var needsPairs: Bool { true }
  package var name: String { "weightedTriplet" }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let length = batch.length, rows = batch.rows, own = batch.own, x = batch.embeddings
    let distances = PairDistances.matrix(x, rows, length), inverse = S(1 / Double(rows))
    var gradient = [S](repeating: S(0), count: own.count * length), loss = 0.0
    for anchor in 0..<rows {
      let d = distances[anchor * rows..<(anchor + 1) * rows]
      let positives = (0..<rows).filter { batch.labels[$0] == batch.labels[anchor] }
      let negatives = (0..<rows).filter { batch.labels[$0] != batch.labels[anchor] }
      guard !negatives.isEmpty else { continue }
      let far = Self.mean(d, positives, sign: 1), near = Self.mean(d, negatives, sign: -1)
      let gap = far.mean - near.mean, slope = gap.sigmoid() * inverse
      loss += gap.value.softplus() / Double(rows)
      for (rowsOfKind, weights, mean, sign) in [
        (positives, far.weights, far.mean, 1.0), (negatives, near.weights, near.mean, -1.0),
      ] {
        for (other, weight) in zip(rowsOfKind, weights)
        where (own.contains(anchor) || own.contains(other)) && d[d.startIndex + other].value > 1e-6 {
          let distance = d[d.startIndex + other]
          let factor = S(sign) * slope * weight * (S(1) + S(sign) * (distance - mean)) / distance
          for i in 0..<length {
            let step = factor * (x[anchor * length + i] - x[other * length + i])
            if own.contains(anchor) { gradient[(anchor - own.lowerBound) * length + i] += step }
            if own.contains(other) { gradient[(other - own.lowerBound) * length + i] -= step }
          }
        }
      }
    }
    return LossGradient(.whole(loss), embeddings: gradient)
  }

  /// Weights softmax(`sign`·d) over `rows`, and the mean of d by them.
  private static func mean<S: RealNumber>(_ d: ArraySlice<S>, _ rows: [Int], sign: Double) -> (weights: [S], mean: S) {
    let distances = rows.map { d[d.startIndex + $0] }
    // Without overflow: the largest exponent is 0.
    let most = S(distances.map { sign * $0.value }.max() ?? 0)
    let powers = distances.map { (S(sign) * $0 - most).exponential() }
    let total = powers.reduce(S(0), +), weights = powers.map { $0 / total }
    return (weights, zip(weights, distances).reduce(S(0)) { $0 + $1.0 * $1.1 })
  }
}
