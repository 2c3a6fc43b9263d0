import Tensors

extension LabelledFeatures {
  /// One row for each track, the mean of its frames' features, where the first of its frames was; rows of no track stay.
  ///
  /// - Parameter tracks: of each row; frames of one have the same identity and camera.
  package func meansOfTracks(_ tracks: [Int?]) -> LabelledFeatures {
    precondition(tracks.count == matrix.rows)
    let columns = matrix.columns
    var slots: [Int: Int] = [:], firsts: [Int] = [], slotOfRow: [Int] = []
    for (row, track) in tracks.enumerated() {
      let slot = track.flatMap { slots[$0] } ?? firsts.count
      if let track { slots[track] = slot }
      if slot == firsts.count { firsts.append(row) }
      slotOfRow.append(slot)
    }
    if firsts.count == matrix.rows { return self }
    var means = RowMeans(count: firsts.count, columns: columns)
    for (row, slot) in slotOfRow.enumerated() { means.add(matrix, row: row, to: slot) }
    return selecting(firsts, firsts.indices.flatMap { means[$0] })
  }
}

/// Means of rows of features, summed in float64 and rounded once.
struct RowMeans {
  private let columns: Int
  /// (count, columns), and the rows in each.
  private var sums: [Double], counts: [Double]

  /// - Parameter count: of means.
  init(count: Int, columns: Int) {
    self.columns = columns
    sums = [Double](repeating: 0, count: count * columns)
    counts = [Double](repeating: 0, count: count)
  }

  mutating func add(_ matrix: FeatureMatrix, row: Int, to slot: Int) {
    counts[slot] += 1
    for column in 0..<columns { sums[slot * columns + column] += Double(matrix.values[row * columns + column]) }
  }

  /// A mean, of one row at least.
  subscript(slot: Int) -> [Float] {
    (0..<columns).map { Float(sums[slot * columns + $0] / counts[slot]) }
  }
}
