/// Rows of bits, 64 to a word; what is behind the last bit is 0.
struct BinaryFeatures: Sendable {
  let rows: Int
  /// The bits of a row.
  let columns: Int
  let words: Int
  /// (rows, words)
  private let bits: [UInt64]

  /// - Parameter bits: (rows, (columns + 63) / 64)
  init(rows: Int, columns: Int, bits: [UInt64]) {
    (self.rows, self.columns, self.bits, words) = (rows, columns, bits, (columns + 63) / 64)
    precondition(bits.count == rows * words)
  }

  /// Whether features are above `thresholds`. (columns)
  init(_ matrix: FeatureMatrix, above thresholds: [Double]) {
    let columns = matrix.columns, words = (columns + 63) / 64
    precondition(thresholds.count == columns)
    var bits = [UInt64](repeating: 0, count: matrix.rows * words)
    for row in 0..<matrix.rows {
      for column in 0..<columns where Double(matrix.values[row * columns + column]) > thresholds[column] {
        bits[row * words + column / 64] |= 1 << UInt64(column % 64)
      }
    }
    self.init(rows: matrix.rows, columns: columns, bits: bits)
  }

  func word(_ row: Int, _ word: Int) -> UInt64 { bits[row * words + word] }

  /// Whether bit `column` of a row is set.
  func isSet(_ row: Int, _ column: Int) -> Bool { word(row, column / 64) >> UInt64(column % 64) & 1 == 1 }

  /// Bits in which two rows differ.
  func hamming(_ row: Int, _ other: BinaryFeatures, _ otherRow: Int) -> Int {
    var count = 0
    for index in 0..<words { count += (word(row, index) ^ other.word(otherRow, index)).nonzeroBitCount }
    return count
  }

  /// Bits of those set in row `otherRow` of `mask` in which it differs from row `row`.
  func hamming(_ row: Int, _ other: BinaryFeatures, _ otherRow: Int, within mask: BinaryFeatures) -> Int {
    var count = 0
    for index in 0..<words {
      count += ((word(row, index) ^ other.word(otherRow, index)) & mask.word(otherRow, index)).nonzeroBitCount
    }
    return count
  }
}

extension FeatureMatrix {
  /// The median of each column, of an even number of rows the mean of the middle two. (columns)
  ///
  /// - Precondition: there are rows, and all values are finite.
  package func medians(parallelFor: ParallelFor = runSerially) -> [Double] {
    parallelMap(columns, parallelFor) { column in
      let sorted = (0..<rows).map { values[$0 * columns + column] }.sorted()
      return (Double(sorted[(rows - 1) / 2]) + Double(sorted[rows / 2])) / 2
    }
  }
}
