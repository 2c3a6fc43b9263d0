/// The nearest neighbours of every row of a set within that set, and how far its farthest row is.
package struct NearestNeighbours: Sendable {
  /// Neighbours of each row; the nearest of them is usually the row itself, at distance 0.
  let count: Int
  /// (rows, count), nearest first; of two at the same distance the one with the smaller index first.
  private let indices: [Int32]
  /// The distance of each row to the row farthest from it. (rows)
  let farthest: [Double]

  /// Each process of `shares` asks for the distances of whole blocks: so BLAS multiplies the same blocks for any number
  /// of them.
  ///
  /// - Parameter distances: of a set to itself.
  /// - Throws: what `shares` throws.
  init(_ distances: Distances, count wanted: Int, shares: some RowShares, parallelFor: ParallelFor) throws {
    precondition(distances.queryCount == distances.galleryCount)
    let rows = distances.galleryCount, count = min(wanted, rows)
    let all = blocks(of: 0..<rows, size: Distances.blockRows), blocks = all[shares.own(all.count)]
    let found = parallelMap(blocks.count, parallelFor) { block in
      var indices: [Int32] = [], farthest: [Double] = []
      distances.forEachRow(of: blocks[blocks.startIndex + block]) { _, row in
        indices += Self.nearest(count, in: row)
        farthest.append(row.max() ?? 0)
      }
      return (indices, farthest)
    }
    self.count = count
    indices = try shares.gather(found.flatMap(\.0))
    farthest = try shares.gather(found.flatMap(\.1))
  }

  /// The first `limit` neighbours of a row.
  func neighbours(of row: Int, _ limit: Int) -> ArraySlice<Int32> {
    indices[row * count..<row * count + min(limit, count)]
  }

  /// The k-reciprocal neighbours R(p, k): those of the first k + 1 neighbours of p that have p among their first k + 1
  /// (Zhong et al., Eq. 2; one more for the image itself).
  func reciprocal(of row: Int, _ k: Int) -> [Int32] {
    neighbours(of: row, k + 1).filter { neighbours(of: Int($0), k + 1).contains(Int32(row)) }
  }

  /// The indices of the `count` smallest elements, by (value, index).
  package static func nearest(_ count: Int, in row: UnsafeBufferPointer<Double>) -> [Int32] {
    if count == 0 { return [] }
    var nearest: [Int32] = []
    nearest.reserveCapacity(count + 1)
    var bound = Double.infinity
    for index in 0..<row.count where row[index] < bound || nearest.count < count {
      // Elements come by ascending index, so an equal one goes behind those that are there.
      var place = nearest.count
      while place > 0, row[Int(nearest[place - 1])] > row[index] { place -= 1 }
      nearest.insert(Int32(index), at: place)
      if nearest.count > count { nearest.removeLast() }
      if nearest.count == count { bound = row[Int(nearest[count - 1])] }
    }
    return nearest
  }
}
