/// Feature rows as `Distances` multiplies them: scale · x − centre, widened to float64 a panel at a time.
struct CentredFeatures: Sendable {
  /// d + c − c with c = gridFactor · (‖q‖² + ‖g‖²) leaves d a multiple of ulp(c), 2⁻³⁷ to 2⁻³⁶ of the norms.
  static let gridFactor = 65536.0

  let matrix: FeatureMatrix
  /// 1 for the Euclidean distance, 1/‖x‖ for the cosine, and 0 for the cosine of a vector of zeros.
  private let scales: [Double]
  /// (columns)
  let centre: [Double]
  /// ‖scale · x − centre‖², and 1 more for a vector of zeros under the cosine: half the squared distance to a unit
  /// vector is then 1, as the cosine with it is 0.
  let squaredNorms: [Double]

  init(_ matrix: FeatureMatrix, scales: [Double], centre: [Double]) {
    self.matrix = matrix
    self.scales = scales
    self.centre = centre
    let columns = matrix.columns
    squaredNorms = matrix.values.withUnsafeBufferPointer { values in
      centre.withUnsafeBufferPointer { centre in
        (0..<matrix.rows).map { row in
          var sum = 0.0
          for column in 0..<columns {
            let value = Double(values[row * columns + column]) * scales[row] - centre[column]
            sum += value * value
          }
          return sum + Self.surplus(scales[row])
        }
      }
    }
  }

  static func scales(of matrix: FeatureMatrix, _ metric: DistanceMetric) -> [Double] {
    guard metric == .cosine else { return [Double](repeating: 1, count: matrix.rows) }
    let columns = matrix.columns
    return matrix.values.withUnsafeBufferPointer { values in
      (0..<matrix.rows).map { row in
        var sum = 0.0
        for column in 0..<columns {
          let value = Double(values[row * columns + column])
          sum += value * value
        }
        return sum > 0 ? 1 / sum.squareRoot() : 0
      }
    }
  }

  /// The mean of scale · x over the rows. (columns)
  static func mean(of matrix: FeatureMatrix, _ scales: [Double]) -> [Double] {
    let columns = matrix.columns
    var sums = [Double](repeating: 0, count: columns)
    matrix.values.withUnsafeBufferPointer { values in
      sums.withUnsafeMutableBufferPointer { sums in
        for row in 0..<matrix.rows {
          let scale = scales[row]
          for column in 0..<columns { sums[column] += Double(values[row * columns + column]) * scale }
        }
      }
    }
    return sums.map { $0 / Double(matrix.rows) }
  }

  /// Writes the rows, row-major, to `output` (rows.count, columns).
  func write(_ rows: Range<Int>, to output: UnsafeMutablePointer<Double>) {
    let columns = matrix.columns
    matrix.values.withUnsafeBufferPointer { values in
      centre.withUnsafeBufferPointer { centre in
        for row in rows {
          let input = values.baseAddress! + row * columns
          let output = output + (row - rows.lowerBound) * columns
          let scale = scales[row]
          for column in 0..<columns { output[column] = Double(input[column]) * scale - centre[column] }
        }
      }
    }
  }

  /// scale · x of a row, not centred. (columns)
  func vector(_ row: Int) -> [Double] {
    matrix.values[row * matrix.columns..<(row + 1) * matrix.columns].map { Double($0) * scales[row] }
  }

  /// The squared distance of row `row` to row `otherRow` of `other`, and the sum of their squared norms.
  func squaredDistance(_ row: Int, _ other: CentredFeatures, _ otherRow: Int) -> (squared: Double, norms: Double) {
    let columns = matrix.columns
    let (scale, otherScale) = (scales[row], other.scales[otherRow])
    var sum = Self.surplus(scale) + Self.surplus(otherScale)
    matrix.values.withUnsafeBufferPointer { values in
      other.matrix.values.withUnsafeBufferPointer { others in
        for column in 0..<columns {
          let difference =
            Double(values[row * columns + column]) * scale - Double(others[otherRow * columns + column]) * otherScale
          sum += difference * difference
        }
      }
    }
    return (sum, squaredNorms[row] + other.squaredNorms[otherRow])
  }

  /// With the other metric in mind: x · centre of each scaled row, and ‖x‖ of each row as it came.
  func centreProducts() -> (products: [Double], norms: [Double]) {
    let columns = matrix.columns
    var products: [Double] = [], norms: [Double] = []
    matrix.values.withUnsafeBufferPointer { values in
      centre.withUnsafeBufferPointer { centre in
        for row in 0..<matrix.rows {
          var product = 0.0, square = 0.0
          for column in 0..<columns {
            let value = Double(values[row * columns + column])
            product += value * centre[column]
            square += value * value
          }
          products.append(product * scales[row])
          norms.append(square.squareRoot())
        }
      }
    }
    return (products, norms)
  }

  /// ‖centre‖².
  var centreSquare: Double { centre.reduce(0) { $0 + $1 * $1 } }

  private static func surplus(_ scale: Double) -> Double { scale == 0 ? 1 : 0 }
}
