import Evaluation
import Foundation
import Kernels
import Synchronization
import Tensors

/// Rows of features as 8-bit codes (`CodeKernels`) of their differences from a centre, in memory: a byte an element and 12
/// bytes a row.
///
/// Trained features differ little from their common mean, which says nothing about their order; coded are the differences
/// alone, and so more closely.
final class CodedRows: Sendable {
  /// Rows that one job encodes, or multiplies.
  static let blockRows = 8192
  /// Elements beyond this are no features, and their squares would not be numbers.
  static let largestElement: Float = 1e15

  let rows: Int, columns: Int
  /// The mean of some of the rows; any vector would do. (columns)
  let centre: [Float]
  /// No row's difference from the centre is longer.
  let longest: Double
  private let width: Int
  private let kernels = CodeKernels()
  private nonisolated(unsafe) let codes: UnsafeMutablePointer<Int8>
  private nonisolated(unsafe) let details: UnsafeMutablePointer<CodeKernels.Code>

  /// - Throws: what reading throws; `Failure.data` that names `name` and the row where an element is not finite or beyond
  ///   ±10¹⁵.
  init(_ features: some FeatureRows, name: String, parallelFor: ParallelFor) throws {
    (rows, columns) = (features.rows, features.columns)
    let (rows, columns) = (rows, columns), width = CodeKernels.width(columns: columns)
    self.width = width
    let centre = try Self.centre(of: features)
    self.centre = centre
    let bytes = max(rows * width, 1)
    // In pages as large as the system has: a scan of small ones takes a quarter more time.
    let page = 1 << 21, size = (bytes + page - 1) / page * page
    let memory = Memory.granted(aligned_alloc(page, size), bytes: size)
    madvise(memory, size, Int32(MADV_HUGEPAGE))
    let codes = memory.bindMemory(to: Int8.self, capacity: size)
    let details = UnsafeMutablePointer<CodeKernels.Code>.allocate(capacity: max(rows, 1))
    (self.codes, self.details) = (codes, details)
    let failure = Mutex<Failure?>(nil), kernels = kernels
    parallelFor((rows + Self.blockRows - 1) / Self.blockRows) { block in
      let first = block * Self.blockRows
      do throws(Failure) {
        // A part that fits a cache is read and encoded at once.
        for row in stride(from: first, to: min(first + Self.blockRows, rows), by: 64) {
          let part = row..<min(row + 64, min(first + Self.blockRows, rows))
          try Self.withValues(of: part, features) { values in
            for index in 0..<part.count {
              let code = kernels.encode(
                values + index * columns, centre: centre, columns: columns, into: codes + (row + index) * width)
              details[row + index] = code
            }
          } check: { index in
            .data(name, "row \(row + index) (counted from 0) holds an infinity, a NaN, or a number beyond 1e15")
          }
        }
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
    }
    longest = (0..<rows).reduce(0) { longest, row in
      max(longest, (2 * Double(details[row].half_square)).squareRoot() + Double(details[row].error))
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  deinit {
    free(codes)
    details.deallocate()
  }

  /// The rows of `block` with their products with `vector`, exactly. (`CodedVector.numbers`)
  func products(
    ofBlock block: Int, _ vector: [Int16],
    _ body: (_ first: Int, _ products: UnsafeBufferPointer<Int32>, _ codes: UnsafePointer<CodeKernels.Code>) -> Void
  ) {
    let first = block * Self.blockRows, count = min(Self.blockRows, rows - first)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: count) { products in
      kernels.products(codes + first * width, rows: count, width: width, vector, into: products.baseAddress!)
      body(first, UnsafeBufferPointer(products), details + first)
    }
  }

  var blocks: Int { (rows + Self.blockRows - 1) / Self.blockRows }

  private static func centre(of features: some FeatureRows) throws(Failure) -> [Float] {
    let (rows, columns) = (features.rows, features.columns), count = min(rows, 1024)
    var sums = [Double](repeating: 0, count: columns)
    for sample in 0..<count {
      let row = sample * rows / count
      try withValues(of: row..<row + 1, features) { values in
        for column in 0..<columns { sums[column] += Double(values[column]) }
      } check: { _ in
        nil
      }
    }
    // Of rows that will be refused; the error should name the row.
    return sums.map { $0.isFinite && abs($0) < Double(largestElement) ? Float($0 / Double(max(count, 1))) : 0 }
  }

  /// - Parameter check: what is wrong with a row that holds no features; nil to let it pass.
  private static func withValues(
    of range: Range<Int>, _ features: some FeatureRows, _ body: (UnsafePointer<Float>) -> Void,
    check: (_ index: Int) -> Failure?
  ) throws(Failure) {
    let columns = features.columns, count = range.count * columns
    let values = UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
    defer { values.deallocate() }
    try features.read(range, into: values)
    // Also false of a NaN.
    if let bad = (0..<count).first(where: { !(abs(values[$0]) <= largestElement) }), let failure = check(bad / columns)
    {
      throw failure
    }
    body(values)
  }
}
