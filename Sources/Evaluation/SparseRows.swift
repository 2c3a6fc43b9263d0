/// A sparse matrix by rows, in blocks of rows that are made independently of each other.
struct SparseRows: Sendable {
  /// Rows a block.
  static let blockRows = 256

  /// Some consecutive rows: row r has the entries starts[r] ..< starts[r + 1], its columns ascending.
  struct Block: Sendable {
    private(set) var starts = [0]
    private(set) var columns: [Int32] = []
    private(set) var values: [Double] = []

    mutating func append(_ entries: [(column: Int32, value: Double)]) {
      for entry in entries {
        columns.append(entry.column)
        values.append(entry.value)
      }
      starts.append(columns.count)
    }
  }

  private let blocks: [Block]

  /// `makeRow(row)` gives the entries of a row, columns ascending.
  init(rows: Int, parallelFor: ParallelFor, makeRow: (Int) -> [(column: Int32, value: Double)]) {
    let ranges = pieces(of: 0..<rows, size: Self.blockRows)
    blocks = parallelMap(ranges.count, parallelFor) { index in
      var block = Block()
      for row in ranges[index] { block.append(makeRow(row)) }
      return block
    }
  }

  /// Calls `body` for each entry of a row, by ascending column.
  func forEachEntry(of row: Int, _ body: (_ column: Int, _ value: Double) -> Void) {
    let block = blocks[row / Self.blockRows], local = row % Self.blockRows
    for entry in block.starts[local]..<block.starts[local + 1] {
      body(Int(block.columns[entry]), block.values[entry])
    }
  }
}

/// Some rows of a sparse matrix turned round: for each column the rows that have an entry in it.
struct SparseColumns: Sendable {
  /// Column c has the entries starts[c] ..< starts[c + 1].
  let starts: [Int]
  /// The row of each entry, counted from the first of the rows taken; ascending within a column.
  let rows: [Int32]
  let values: [Double]

  init(_ matrix: SparseRows, rows range: Range<Int>, columnCount: Int) {
    var starts = [Int](repeating: 0, count: columnCount + 1)
    for row in range { matrix.forEachEntry(of: row) { column, _ in starts[column + 1] += 1 } }
    for column in 0..<columnCount { starts[column + 1] += starts[column] }
    var rows = [Int32](repeating: 0, count: starts[columnCount])
    var values = [Double](repeating: 0, count: starts[columnCount])
    var next = starts
    for row in range {
      matrix.forEachEntry(of: row) { column, value in
        rows[next[column]] = Int32(row - range.lowerBound)
        values[next[column]] = value
        next[column] += 1
      }
    }
    (self.starts, self.rows, self.values) = (starts, rows, values)
  }
}
