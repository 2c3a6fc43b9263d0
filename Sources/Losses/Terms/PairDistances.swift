import Tensors

/// Distances between unit embeddings of a batch, for losses over lists of a row's neighbours, and the gradient that comes back
/// through them:
///
///     ê = e/‖e‖,  d_ab = √max(‖ê_a − ê_b‖², 10⁻¹²)
///     ∂d/∂ê_a = (ê_a − ê_b)/d = −∂d/∂ê_b           (0 where d is clamped)
///     ē = (g − ê(ê·g))/‖e‖ from the gradient g of ê
struct PairDistances<S: RealNumber> {
  let rows: Int
  private let length: Int
  private let unit: [S], inverseLengths: [S]
  private let distances: [S]

  init(_ batch: LossBatch<S>) {
    let rows = batch.rows, length = batch.length
    var unit: [S] = [], inverses: [S] = []
    for row in 0..<rows {
      var square = S(0)
      for e in batch.embedding(row) { square += e * e }
      // Not `> 1e-24`: a NaN stays one.
      let inverse = square.value <= 1e-24 ? S(0) : S(1) / square.squareRoot()
      inverses.append(inverse)
      for e in batch.embedding(row) { unit.append(e * inverse) }
    }
    (self.rows, self.length, self.unit, inverseLengths, self.distances) = (
      rows, length, unit, inverses, Self.matrix(unit, rows, length)
    )
  }

  /// √max(‖x_a − x_b‖², 10⁻¹²) of every two rows of x: rows × rows.
  static func matrix(_ x: [S], _ rows: Int, _ length: Int) -> [S] {
    var distances = [S](repeating: S(1e-6), count: rows * rows)
    for a in 0..<rows {
      for b in 0..<a {
        var square = S(0)
        for i in 0..<length {
          let difference = x[a * length + i] - x[b * length + i]
          square += difference * difference
        }
        // Not `> 1e-12`: a NaN stays one.
        if square.value <= 1e-12 { continue }
        distances[a * rows + b] = square.squareRoot()
        distances[b * rows + a] = distances[a * rows + b]
      }
    }
    return distances
  }

  subscript(a: Int, b: Int) -> S { distances[a * rows + b] }

  /// Two rows whose distance the loss reads, and ∂L/∂d.
  typealias Slope = (a: Int, b: Int, bar: S)

  /// The gradient of the embeddings `own` from those of distances.
  func pullBack(_ slopes: [Slope], own: Range<Int>) -> [S] {
    var unitBars = [S](repeating: S(0), count: own.count * length)
    for (a, b, bar) in slopes where own.contains(a) || own.contains(b) {
      // Not `> 1e-6`: a NaN is passed on.
      if self[a, b].value <= 1e-6 { continue }
      let factor = bar / self[a, b]
      for i in 0..<length {
        let step = factor * (unit[a * length + i] - unit[b * length + i])
        if own.contains(a) { unitBars[(a - own.lowerBound) * length + i] += step }
        if own.contains(b) { unitBars[(b - own.lowerBound) * length + i] -= step }
      }
    }
    return own.flatMap { row in
      let e = row * length..<(row + 1) * length, g = (row - own.lowerBound) * length
      var along = S(0)
      for (i, at) in e.enumerated() { along += unit[at] * unitBars[g + i] }
      return e.enumerated().map { i, at in (unitBars[g + i] - unit[at] * along) * inverseLengths[row] }
    }
  }
}
