import Tensors

/// Batch-hard triplet loss (Hermans et al., 2017) over all B rows of the global batch:
///
///     L = (1/B) Σ_a h(max_p d(a, p) − min_n d(a, n)),   d(a, b) = √max(‖a − b‖², 10⁻¹²)
///     h(x) = max(0, m + x) with a margin m, or softplus(x) without one
///     ∂d/∂a = (a − b)/d = −∂d/∂b            (0 where d is clamped)
///
/// p runs over the rows of a's identity (a itself among them), n over those of others; of equal distances the first
/// row is mined; in the tangents mined pairs and hinges stay. Anchors of a batch with a single identity have no negative and
/// no loss. Every rank computes the whole loss and takes the gradient of its rows.
package struct BatchHardTriplet: LossTerm, Options {
  package var weight = 1.0
  package var margin = 0.3
  /// Whether softplus takes the place of the hinge, and of the margin.
  package var soft = false

  package init() {}

  package init(weight: Double = 1, margin: Double) { (self.weight, self.margin) = (weight, margin) }

  package static var fields: [OptionField<Self>] {
    [
      .weight(\.weight),
      .number(
        "margin", \.margin, 0...1e6, "m: by how much the farthest positive must be nearer than the nearest negative."),
      .flag("soft", \.soft, "softplus in place of the hinge: no margin, and no anchor without a gradient."),
    ]
  }

  package var readsLogits: Bool { false }
  package var needsPairs: Bool { true }
  package var name: String { "triplet" }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S> {
    let length = batch.length, own = batch.own
    let (loss, pairs) = mine(batch)
    var gradient = [S](repeating: S(0), count: own.count * length)
    for pair in pairs {
      let factor = pair.weight / (S(Double(batch.rows)) * pair.distance)
      for i in 0..<length {
        let slope = factor * (batch.embeddings[pair.anchor * length + i] - batch.embeddings[pair.other * length + i])
        if own.contains(pair.anchor) { gradient[(pair.anchor - own.lowerBound) * length + i] += slope }
        if own.contains(pair.other) { gradient[(pair.other - own.lowerBound) * length + i] -= slope }
      }
    }
    return LossGradient(.whole(loss), embeddings: gradient)
  }

  /// Two rows whose distance counts in the loss, with ∂h/∂d; not one that is clamped.
  private struct Pair<S: RealNumber> { let anchor: Int, other: Int, weight: S, distance: S }

  private func mine<S: RealNumber>(_ batch: LossBatch<S>) -> (loss: Double, pairs: [Pair<S>]) {
    let rows = batch.rows, labels = batch.labels
    precondition(batch.embeddings.count == rows * batch.length)
    let squares = Self.squaredDistances(batch.embeddings.map(\.value), rows, batch.length)
    var loss = 0.0, pairs: [Pair<S>] = []
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
      func distance(_ other: Int) -> S {
        squares[anchor * rows + other] < 1e-12 ? S(1e-12.squareRoot()) : Self.distance(batch, anchor, other)
      }
      let far = distance(positive), near = distance(negative)
      let weight: S
      if !soft {
        let hinge = margin + far.value - near.value
        if hinge.isNaN { loss = .nan }
        guard hinge > 0 else { continue }
        loss += hinge / Double(rows)
        weight = S(1)
      } else {
        loss += (far.value - near.value).softplus() / Double(rows)
        weight = (far - near).sigmoid()
      }
      for (other, distance, weight) in [(positive, far, weight), (negative, near, -weight)]
      where squares[anchor * rows + other] > 1e-12 {
        pairs.append(Pair(anchor: anchor, other: other, weight: weight, distance: distance))
      }
    }
    return (loss, pairs)
  }

  private static func distance<S: RealNumber>(_ batch: LossBatch<S>, _ a: Int, _ b: Int) -> S {
    var sum = S(0)
    for (x, y) in zip(batch.embedding(a), batch.embedding(b)) { sum += (x - y) * (x - y) }
    return sum.squareRoot()
  }

  /// Of all pairs of rows: what mining goes by.
  private static func squaredDistances(_ x: [Double], _ rows: Int, _ length: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: rows * rows)
    let lanes = SIMD8<Double>.scalarCount, whole = length / lanes * lanes
    x.withUnsafeBytes { x in
      let size = MemoryLayout<Double>.size
      func square(_ a: Int, _ b: Int) -> Double {
        var sums = SIMD8<Double>(repeating: 0), rest = 0.0
        for i in stride(from: 0, to: whole, by: lanes) {
          let difference =
            x.loadUnaligned(fromByteOffset: (a + i) * size, as: SIMD8<Double>.self)
            - x.loadUnaligned(fromByteOffset: (b + i) * size, as: SIMD8<Double>.self)
          sums += difference * difference
        }
        for i in whole..<length {
          let difference =
            x.load(fromByteOffset: (a + i) * size, as: Double.self)
            - x.load(fromByteOffset: (b + i) * size, as: Double.self)
          rest += difference * difference
        }
        return sums.sum() + rest
      }
      // A block of rows stays in the cache while all rows before pass by.
      let block = 16
      for first in stride(from: 0, to: rows, by: block) {
        let last = min(rows, first + block)
        for b in 0..<last {
          for a in max(first, b + 1)..<last {
            let sum = square(a * length, b * length)
            (squares[a * rows + b], squares[b * rows + a]) = (sum, sum)
          }
        }
      }
    }
    return squares
  }
}
