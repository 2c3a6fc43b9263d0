import Evaluation
import Kernels

/// A query as whole numbers of 16 bits, and how far a product with them may be from one with the query.
///
/// With y = s·c + e the codes of a row's difference from the centre, ‖e‖ ≤ ε, and u = t·p + r those of the query,
///
///     |u·y − t·s·(p·c)| ≤ ‖u‖ ε + ‖r‖ ‖s·c‖         (Cauchy–Schwarz)
///
/// and p·c is exact. What orders the rows is u·y, with u the query, for the cosine of unit rows: q·x less the same number for
/// every row; and u·y − ‖y‖²/2, with u the query's difference from the centre, for the Euclidean distance:
/// −‖q − x‖²/2 less the same number.
struct CodedVector {
  /// (columns, filled up with zeros to the width of codes)
  let numbers: [Int16]
  /// t and ‖u‖; what may be wrong with every row alike.
  private let scale: Float, length: Float, slack: Float
  private let metric: DistanceMetric

  /// - Parameter query: finite, of unit length for the cosine. (columns)
  init(_ query: [Double], _ rows: CodedRows, _ metric: DistanceMetric) {
    self.metric = metric
    let u = metric == .cosine ? query : zip(query, rows.centre).map { $0 - Double($1) }
    let largest = u.reduce(0) { max($0, abs($1)) }, sum = u.reduce(0) { $0 + abs($1) }
    let length = u.reduce(0) { $0 + $1 * $1 }.squareRoot()
    // 127 · Σ|p| stays below 2³¹ also after each p was rounded.
    let most = 16_900_000 - Double(u.count)
    let scale = max(largest / 32767, sum / most, Double(Float.leastNormalMagnitude))
    let rounded = u.map { ($0 / scale).rounded() }
    let rest = zip(u, rounded).reduce(0) { $0 + ($1.0 - scale * $1.1) * ($1.0 - scale * $1.1) }.squareRoot()
    let width = CodeKernels.width(columns: u.count)
    numbers = rounded.map { Int16($0) } + [Int16](repeating: 0, count: width - u.count)
    self.scale = Float(scale)
    self.length = Float(length) * (1 + 1e-6)
    // The bounds themselves are computed in float32: a few of its roundings of 2⁻²⁴ each.
    let longest = rows.longest
    slack = Float(rest * longest + 1e-6 * ((length + rest) * longest + longest * longest / 2)) * (1 + 1e-6)
  }

  /// Between what the row's score is.
  @inline(__always)
  func bounds(_ product: Int32, _ code: CodeKernels.Code) -> (lower: Float, upper: Float) {
    var middle = scale * code.scale * Float(product)
    if metric == .euclidean { middle -= code.half_square }
    let margin = length * code.error + slack
    return (middle - margin, middle + margin)
  }
}
