/// A = LLᵀ of a symmetric, positive definite matrix, and what is solved with it. Tens of rows, so nothing is blocked.
struct Cholesky: Sendable {
  let count: Int
  /// L, count × count, row by row; above the diagonal 0.
  private let lower: [Double]

  /// - Parameter matrix: count × count, row by row, of which the lower half is read.
  /// - Returns: nil where it is not positive definite, as far as float64 can tell.
  init?(_ matrix: [Double], count: Int) {
    precondition(matrix.count == count * count)
    var lower = [Double](repeating: 0, count: count * count)
    for row in 0..<count {
      for column in 0...row {
        var sum = matrix[row * count + column]
        for k in 0..<column { sum -= lower[row * count + k] * lower[column * count + k] }
        if row == column {
          guard sum > 0, sum.isFinite else { return nil }
          lower[row * count + row] = sum.squareRoot()
        } else {
          lower[row * count + column] = sum / lower[column * count + column]
        }
      }
    }
    (self.count, self.lower) = (count, lower)
  }

  /// L⁻¹b.
  func forward(_ b: [Double]) -> [Double] {
    var x = b
    for row in 0..<count {
      for k in 0..<row { x[row] -= lower[row * count + k] * x[k] }
      x[row] /= lower[row * count + row]
    }
    return x
  }

  /// L⁻ᵀb.
  func backward(_ b: [Double]) -> [Double] {
    var x = b
    for row in (0..<count).reversed() {
      for k in row + 1..<max(row + 1, count) { x[row] -= lower[k * count + row] * x[k] }
      x[row] /= lower[row * count + row]
    }
    return x
  }

  /// A⁻¹b.
  func solve(_ b: [Double]) -> [Double] { backward(forward(b)) }

  /// The diagonal of L, whose logarithms add up to ½ ln det A.
  var diagonal: [Double] { (0..<count).map { lower[$0 * count + $0] } }
}
