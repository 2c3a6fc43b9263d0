/// Batch-hard triplet loss (Hermans et al., 2017) over all B rows of the global batch:
///
///     L = (1/B) Σ_a max(0, margin + max_p d(a, p) − min_n d(a, n)),   d(a, b) = √max(‖a − b‖², 10⁻¹²)
///     ∂d/∂a = (a − b)/d = u = −∂d/∂b            (0 where d is clamped)
///     u̇ = ((ȧ − ḃ) − u(u·(ȧ − ḃ)))/d            for the tangent of the gradient; mined pairs and hinges stay
///
/// p runs over the rows of a's identity (a itself among them), n over those of others; of equal distances the first
/// row is mined. Anchors of a batch with a single identity have no negative and no loss. Every rank computes the whole
/// loss and takes the gradient of its rows. Precision: float64.
package enum BatchHardTriplet {
  /// `embeddings`: B × length, `labels`: B. Returns L and the gradient of the rows `own` (own × length).
  package static func evaluate(
    _ embeddings: [Double], length: Int, labels: [Int], margin: Double, own: Range<Int>
  ) -> (loss: Double, gradient: [Double]) {
    let (loss, pairs) = mine(embeddings, length, labels, margin)
    var gradient = [Double](repeating: 0, count: own.count * length)
    for pair in pairs {
      let factor = pair.sign / (Double(labels.count) * pair.distance)
      for i in 0..<length {
        let slope = factor * (embeddings[pair.anchor * length + i] - embeddings[pair.other * length + i])
        if own.contains(pair.anchor) { gradient[(pair.anchor - own.lowerBound) * length + i] += slope }
        if own.contains(pair.other) { gradient[(pair.other - own.lowerBound) * length + i] -= slope }
      }
    }
    return (loss, gradient)
  }

  /// The tangent of the gradient of the rows `own`, for tangents (B × length) of the embeddings.
  package static func gradientTangent(
    _ embeddings: [Double], tangents: [Double], length: Int, labels: [Int], margin: Double, own: Range<Int>
  ) -> [Double] {
    precondition(tangents.count == embeddings.count)
    var gradient = [Double](repeating: 0, count: own.count * length)
    for pair in mine(embeddings, length, labels, margin).pairs {
      let a = pair.anchor * length, b = pair.other * length
      var along = 0.0  // u·(ȧ − ḃ)
      for i in 0..<length {
        along += (embeddings[a + i] - embeddings[b + i]) / pair.distance * (tangents[a + i] - tangents[b + i])
      }
      let factor = pair.sign / (Double(labels.count) * pair.distance)
      for i in 0..<length {
        let u = (embeddings[a + i] - embeddings[b + i]) / pair.distance
        let slope = factor * (tangents[a + i] - tangents[b + i] - u * along)
        if own.contains(pair.anchor) { gradient[(pair.anchor - own.lowerBound) * length + i] += slope }
        if own.contains(pair.other) { gradient[(pair.other - own.lowerBound) * length + i] -= slope }
      }
    }
    return gradient
  }

  /// Two rows whose distance counts in the loss, with its sign; not one that is clamped.
  private struct Pair { let anchor: Int, other: Int, sign: Double, distance: Double }

  private static func mine(_ embeddings: [Double], _ length: Int, _ labels: [Int], _ margin: Double) -> (
    loss: Double, pairs: [Pair]
  ) {
    let rows = labels.count
    precondition(embeddings.count == rows * length)
    let squares = squaredDistances(embeddings, rows, length)
    var loss = 0.0, pairs: [Pair] = []
    for anchor in 0..<rows {
      var positive = -1, negative = -1
      for other in 0..<rows {
        let square = squares[anchor * rows + other]
        if labels[other] == labels[anchor] {
          if positive < 0 || square > squares[anchor * rows + positive] { positive = other }
        } else if negative < 0 || square < squares[anchor * rows + negative] {
          negative = other
        }
      }
      guard negative >= 0 else { continue }
      let far = distance(squares[anchor * rows + positive]), near = distance(squares[anchor * rows + negative])
      let hinge = margin + far - near
      if hinge.isNaN { loss = .nan }
      guard hinge > 0 else { continue }
      loss += hinge / Double(rows)
      for (other, sign) in [(positive, 1.0), (negative, -1.0)] where squares[anchor * rows + other] > 1e-12 {
        pairs.append(Pair(anchor: anchor, other: other, sign: sign, distance: distance(squares[anchor * rows + other])))
      }
    }
    return (loss, pairs)
  }

  private static func distance(_ square: Double) -> Double { (square < 1e-12 ? 1e-12 : square).squareRoot() }

  private static func squaredDistances(_ x: [Double], _ rows: Int, _ length: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: rows * rows)
    x.withUnsafeBufferPointer { x in
      for a in 0..<rows {
        for b in 0..<a {
          var sum = 0.0
          for i in 0..<length {
            let difference = x[a * length + i] - x[b * length + i]
            sum += difference * difference
          }
          squares[a * rows + b] = sum
          squares[b * rows + a] = sum
        }
      }
    }
    return squares
  }
}
