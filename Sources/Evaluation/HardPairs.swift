/// A query and an image of the gallery that a network takes for what they are not.
package struct HardPair: Sendable, Equatable {
  /// Rows.
  package let query: Int, gallery: Int
  package let distance: Double
}

extension Ranking {
  /// The pairs of two identities that are nearest to one another, nearest first, and those of one identity that are farthest apart,
  /// farthest first: for each query one at most, and `count` of each kind. Images that are ignored for a query count for neither.
  package static func hardPairs(
    _ count: Int, query: LabelledFeatures, gallery: LabelledFeatures, distances: some DistanceRows,
    parallelFor: ParallelFor = runSerially
  ) -> (alike: [HardPair], unlike: [HardPair]) {
    let judge = QueryJudge(query: query, gallery: gallery)
    let blocks = blocks(of: 0..<distances.queryCount, size: Distances.blockRows)
    let found = parallelMap(blocks.count, parallelFor) { block in
      var alike: [HardPair] = [], unlike: [HardPair] = []
      distances.forEachRow(of: blocks[block]) { query, row in
        guard !LabelledFeatures.isJunk(judge.queryIdentities[query]) else { return }
        var nearest: HardPair?, farthest: HardPair?
        for index in row.indices where !judge.isIgnored(index, query: query) {
          let pair = HardPair(query: query, gallery: index, distance: row[index])
          if judge.galleryIdentities[index] == judge.queryIdentities[query] {
            if farthest.map({ row[index] > $0.distance }) ?? true { farthest = pair }
          } else if nearest.map({ row[index] < $0.distance }) ?? true {
            nearest = pair
          }
        }
        if let nearest { alike.append(nearest) }
        if let farthest { unlike.append(farthest) }
      }
      return (alike, unlike)
    }
    func first(_ pairs: [HardPair], _ isBefore: (Double, Double) -> Bool) -> [HardPair] {
      Array(
        pairs.sorted { $0.distance == $1.distance ? $0.query < $1.query : isBefore($0.distance, $1.distance) }
          .prefix(count))
    }
    return (first(found.flatMap(\.0), <), first(found.flatMap(\.1), >))
  }
}
