import Tensors

/// Batch-hard triplet loss (Hermans et al., 2017) over all B rows of the global batch:
///
///     L = (1/B) Σ_a h(max_p d(a, p) − min_n d(a, n)),   d(a, b) = √max(‖a − b‖², 10⁻¹²)
///     h(x) = max(0, m + x) with a margin m, or softplus(x) without one
///     ∂d/∂a = (a − b)/d = −∂d/∂b            (0 where d is clamped)
///
/// p runs over the rows of a's identity (a itself among them), n over those of others; of equal distances the first
/// row is mined; in the tangents mined pairs and hinges stay. Anchors of a batch with a single identity have no negative and
/// no loss. Every rank mines for its rows; then it computes the whole loss and takes the gradient of its rows.
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

  /// The positive and the negative of each row, −1 for one that is not there.
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  package func choices<S: RealNumber>(_ batch: LossBatch<S>) -> [Int]? {
    let rows = batch.rows, labels = batch.labels, own = batch.own
    let squares = Self.squaredDistances(batch.embeddings.map(\.value), of: own, rows, batch.length)
    return own.flatMap { anchor in
      let first = (anchor - own.lowerBound) * rows
      var positive = -1, negative = -1
      for other in 0..<rows {
        let square = squares[first + other]
        if labels[other] == labels[anchor] {
          if positive < 0 || square > squares[first + positive] { positive = other }
        } else if negative < 0 || square < squares[first + negative] {
          negative = other
        }
      }
      return [positive, negative]
    }
  }

  private func mine<S: RealNumber>(_ batch: LossBatch<S>) -> (loss: Double, pairs: [Pair<S>]) {
    let rows = batch.rows, length = batch.length, values = batch.embeddings.map(\.value)
    precondition(values.count == rows * length)
    let choices = batch.choices ?? choices(LossBatch(embeddings: values, length: length, labels: batch.labels))!
    var loss = 0.0, pairs: [Pair<S>] = []
    for anchor in 0..<rows {
      let positive = choices[2 * anchor], negative = choices[2 * anchor + 1]
      guard negative >= 0 else { continue }
      func square(_ other: Int) -> Double {
        values.withUnsafeBufferPointer {
          Self.square($0.baseAddress! + anchor * length, $0.baseAddress! + other * length, length)
        }
      }
      let squares = (far: square(positive), near: square(negative))
      let far = squares.far < 1e-12 ? S(1e-12.squareRoot()) : Self.distance(batch, anchor, positive)
      let near = squares.near < 1e-12 ? S(1e-12.squareRoot()) : Self.distance(batch, anchor, negative)
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
      if squares.far > 1e-12 { pairs.append(Pair(anchor: anchor, other: positive, weight: weight, distance: far)) }
      if squares.near > 1e-12 { pairs.append(Pair(anchor: anchor, other: negative, weight: -weight, distance: near)) }
    }
    return (loss, pairs)
  }

  private static func distance<S: RealNumber>(_ batch: LossBatch<S>, _ a: Int, _ b: Int) -> S {
    var sum = S(0)
    for (x, y) in zip(batch.embedding(a), batch.embedding(b)) { sum += (x - y) * (x - y) }
    return sum.squareRoot()
  }

  /// Of the rows `own` from all rows, what mining goes by: own.count × rows.
  private static func squaredDistances(_ x: [Double], of own: Range<Int>, _ rows: Int, _ length: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: own.count * rows)
    x.withUnsafeBufferPointer { x in
      let x = x.baseAddress!
      // A block of rows stays in the cache while all rows pass by; of two own rows one way round is enough.
      for first in stride(from: own.lowerBound, to: own.upperBound, by: 16) {
        let last = min(own.upperBound, first + 16)
        for b in 0..<rows where !(own.lowerBound..<first ~= b) {
          for a in first..<(own.contains(b) ? min(last, b + 1) : last) {
            let sum = square(x + a * length, x + b * length, length)
            squares[(a - own.lowerBound) * rows + b] = sum
            if own.contains(b) { squares[(b - own.lowerBound) * rows + a] = sum }
          }
        }
      }
    }
    return squares
  }

  /// The same bits either way round.
  private static func square(_ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ length: Int) -> Double {
    let lanes = SIMD8<Double>.scalarCount, whole = length / lanes * lanes
    func vector(_ x: UnsafePointer<Double>, _ i: Int) -> SIMD8<Double> {
      UnsafeRawPointer(x + i).loadUnaligned(as: SIMD8<Double>.self)
    }
    var sums = SIMD8<Double>(repeating: 0), rest = 0.0
    for i in stride(from: 0, to: whole, by: lanes) {
      let difference = vector(a, i) - vector(b, i)
      sums += difference * difference
    }
    for i in whole..<length { rest += (a[i] - b[i]) * (a[i] - b[i]) }
    return sums.sum() + rest
  }
}
