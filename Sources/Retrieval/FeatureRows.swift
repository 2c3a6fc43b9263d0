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
}
