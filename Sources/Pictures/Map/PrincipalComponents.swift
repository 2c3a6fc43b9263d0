import Evaluation
import Foundation
import Tensors

/// Coordinates of feature vectors along the two directions in which they differ most, by subspace iteration: exact up to
/// rounding unless the second and ninth variances are alike.
///
/// x: n × d, row-major; the result is n × 2, the mean 0. Signs are such that the coordinate of the largest size is positive.
/// Computed in float64; the same for any number of threads.
package enum PrincipalComponents {
  /// Directions that are iterated on.
  private static let width = 8

  package static func plane(of features: FeatureMatrix, parallelFor: ParallelFor = runSerially) -> [Point] {
    let rows = features.rows, columns = features.columns, width = min(Self.width, columns)
    guard rows > 0, columns > 0 else { return [] }
    let x = centred(features)
    var random = CounterRandom(seed: 1, purpose: .initialization)
    // Directions, each of `columns` elements, one after the other.
    var q = (0..<width).map { _ in (0..<columns).map { _ in random.normal() } }
    orthonormalize(&q)
    var before = [Double](repeating: -1, count: 2), y: [[Double]] = []
    for _ in 0..<500 {
      y = q.map { project(x, rows, columns, $0, parallelFor) }
      let variances = zip(y, y).map { dot($0, $1) }.sorted(by: >)
      let leading = [variances[0], variances.count > 1 ? variances[1] : 0]
      let isSettled = zip(leading, before).allSatisfy { abs($0 - $1) <= 1e-12 * max(leading[0], 1e-300) }
      before = leading
      if isSettled { break }
      q = y.map { pull(x, rows, columns, $0, parallelFor) }
      orthonormalize(&q)
    }
    // What is left is to turn the directions to those of the largest variance within what they span.
    let rotated = rotatedToVariance(y)
    func axis(_ index: Int) -> [Double] {
      guard index < rotated.count else { return [Double](repeating: 0, count: rows) }
      let values = rotated[index], largest = values.max { abs($0) < abs($1) } ?? 0
      return largest < 0 ? values.map { -$0 } : values
    }
    return zip(axis(0), axis(1)).map { Point($0, $1) }
  }

  private static func centred(_ features: FeatureMatrix) -> [Double] {
    let columns = features.columns
    var mean = [Double](repeating: 0, count: columns)
    for (index, value) in features.values.enumerated() { mean[index % columns] += Double(value) }
    for column in 0..<columns { mean[column] /= Double(features.rows) }
    return features.values.enumerated().map { Double($1) - mean[$0 % columns] }
  }

  /// X v.
  private static func project(
    _ x: [Double], _ rows: Int, _ columns: Int, _ v: [Double], _ parallelFor: ParallelFor
  ) -> [Double] {
    var out = [Double](repeating: 0, count: rows)
    x.withUnsafeBufferPointer { x in
      v.withUnsafeBufferPointer { v in
        out.withUnsafeMutableBufferPointer { out in
          parallelFor(rows) { row in
            var sum = 0.0
            for column in 0..<columns { sum += x[row * columns + column] * v[column] }
            out[row] = sum
          }
        }
      }
    }
    return out
  }

  /// Xᵀ y, in blocks of columns: each is summed over the rows in their order.
  private static func pull(
    _ x: [Double], _ rows: Int, _ columns: Int, _ y: [Double], _ parallelFor: ParallelFor
  ) -> [Double] {
    let block = 64
    var out = [Double](repeating: 0, count: columns)
    x.withUnsafeBufferPointer { x in
      y.withUnsafeBufferPointer { y in
        out.withUnsafeMutableBufferPointer { out in
          parallelFor((columns + block - 1) / block) { index in
            let range = index * block..<min(columns, (index + 1) * block)
            for row in 0..<rows {
              for column in range { out[column] += x[row * columns + column] * y[row] }
            }
          }
        }
      }
    }
    return out
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  /// Gram and Schmidt, twice; a vector that the others span becomes 0.
  private static func orthonormalize(_ vectors: inout [[Double]]) {
    for index in vectors.indices {
      let length = dot(vectors[index], vectors[index]).squareRoot()
      for _ in 0..<2 {
        for other in 0..<index {
          let share = dot(vectors[index], vectors[other])
          for i in vectors[index].indices { vectors[index][i] -= share * vectors[other][i] }
        }
      }
      let rest = dot(vectors[index], vectors[index]).squareRoot()
      let factor = rest > 1e-12 * length && rest > 0 ? 1 / rest : 0
      for i in vectors[index].indices { vectors[index][i] *= factor }
    }
  }

  /// Jacobi's rotations of the vectors until they are orthogonal to one another, the longest first.
  private static func rotatedToVariance(_ vectors: [[Double]]) -> [[Double]] {
    var y = vectors
    for _ in 0..<60 {
      var rest = 0.0, all = 0.0
      for a in y.indices {
        all += dot(y[a], y[a])
        for b in 0..<a {
          let (aa, bb, ab) = (dot(y[a], y[a]), dot(y[b], y[b]), dot(y[a], y[b]))
          rest += abs(ab)
          guard abs(ab) > 1e-15 * (aa * bb).squareRoot(), ab != 0 else { continue }
          let zeta = (bb - aa) / (2 * ab), t = (zeta < 0 ? -1.0 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
          let c = 1 / (1 + t * t).squareRoot(), s = c * t
          for i in y[a].indices { (y[a][i], y[b][i]) = (c * y[a][i] - s * y[b][i], s * y[a][i] + c * y[b][i]) }
        }
      }
      if rest <= 1e-14 * all { break }
    }
    return y.sorted { dot($0, $0) > dot($1, $1) }
  }
}
