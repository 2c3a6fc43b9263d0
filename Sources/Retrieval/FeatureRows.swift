import Evaluation
import Tensors

/// Rows of features that are read when they are asked for, from any number of threads: a file's, or an array's.
package protocol FeatureRows: Sendable {
  var rows: Int { get }
  var columns: Int { get }
  /// The elements of `range`. (range.count, columns)
  func read(_ range: Range<Int>, into values: UnsafeMutablePointer<Float>) throws(Failure)
}

extension NPYFile: FeatureRows {}

extension FeatureMatrix: FeatureRows {
  package func read(_ range: Range<Int>, into copy: UnsafeMutablePointer<Float>) {
    values.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return }
      copy.update(from: base + range.lowerBound * columns, count: range.count * columns)
    }
  }

  /// Each row scaled to unit length, a row of zeros as it is: what the cosine compares.
  package var unitRows: FeatureMatrix {
    var scaled = values
    for row in 0..<rows {
      let place = row * columns..<(row + 1) * columns
      let length = scaled[place].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      guard length > 0 else { continue }
      for index in place { scaled[index] = Float(Double(scaled[index]) / length) }
    }
    return FeatureMatrix(rows: rows, columns: columns, values: scaled)
  }
}
