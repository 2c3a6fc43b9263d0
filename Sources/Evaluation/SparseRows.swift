/// A sparse matrix by rows, in blocks of rows that are made independently of each other.
struct SparseRows: Sendable {
  /// Rows a block.
  static let blockRows = 256

  /// Row r has the entries starts[r] ..< starts[r + 1], its columns ascending.
  private var starts = [0]
  private var columns: [Int32] = []
  private var values: [Double] = []

  private init() {}

  /// `makeRow(row)` gives the entries of a row, columns ascending. Each process of `shares` makes whole blocks.
  /// - Throws: what `shares` throws.
  init(
    rows: Int, shares: some RowShares, parallelFor: ParallelFor, makeRow: (Int) -> [(column: Int32, value: Double)]
  ) throws {
    var own = SparseRows()
    do {
      let blocks = blocks(of: 0..<rows, size: Self.blockRows), ranges = blocks[shares.own(blocks.count)]
      let made = parallelMap(ranges.count, parallelFor) { index in
        var block = SparseRows()
        for row in ranges[ranges.startIndex + index] { block.append(makeRow(row)) }
        return block
      }
      let entries = made.reduce(0) { $0 + $1.columns.count }
      own.columns.reserveCapacity(entries)
      own.values.reserveCapacity(entries)
      for block in made { own.append(block) }
    }
    let lengths = try shares.gather(zip(own.starts, own.starts.dropFirst()).map { Int32($1 - $0) })
    starts.reserveCapacity(rows + 1)
    for length in lengths { starts.append(starts[starts.count - 1] + Int(length)) }
    columns = try shares.gather(own.columns)
    values = try shares.gather(own.values)
  }

  private mutating func append(_ entries: [(column: Int32, value: Double)]) {
    for entry in entries {
      columns.append(entry.column)
      values.append(entry.value)
    }
    starts.append(columns.count)
  }

  private mutating func append(_ block: SparseRows) {
    let before = columns.count
    starts += block.starts.dropFirst().map { before + $0 }
    columns += block.columns
    values += block.values
  }

  /// Calls `body` for each entry of a row, by ascending column.
  func forEachEntry(of row: Int, _ body: (_ column: Int, _ value: Double) -> Void) {
    for entry in starts[row]..<starts[row + 1] { body(Int(columns[entry]), values[entry]) }
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
