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
    var sums = [Double](repeating: 0, count: firsts.count * columns),
      counts = [Double](repeating: 0, count: firsts.count)
    for (row, slot) in slotOfRow.enumerated() {
      counts[slot] += 1
      for column in 0..<columns { sums[slot * columns + column] += Double(matrix.values[row * columns + column]) }
    }
    let means = sums.indices.map { Float(sums[$0] / counts[$0 / columns]) }
    return selecting(firsts, means)
  }
}
