import Tensors

/// The first images of a query's ranking, to look at.
package struct RankedList: Sendable, Equatable {
  /// A row of the gallery.
  package struct Image: Sendable, Equatable {
    package let row: Int, distance: Double
    /// Whether it shows the query's identity, under another camera.
    package let isMatch: Bool
  }

  /// Its row.
  package let query: Int
  /// nil where the gallery has no match.
  package let averagePrecision: Double?
  /// The ranks of all matches, from 1 and ascending.
  package let matchRanks: [Int]
  /// In their order, those left out that are ignored for the query: the first of them has rank 1.
  package let images: [Image]
}

extension Ranking {
  /// The average precision of each query, whose mean is `RankingResult.mAP`; nil where one has no match.
  package static func averagePrecisions(
    query: LabelledFeatures, gallery: LabelledFeatures, distances: some DistanceRows,
    parallelFor: ParallelFor = runSerially
  ) -> [Double?] {
    let judge = QueryJudge(query: query, gallery: gallery)
    let blocks = blocks(of: 0..<distances.queryCount, size: Distances.blockRows)
    return parallelMap(blocks.count, parallelFor) { block in
      var values: [Double?] = []
      distances.forEachRow(of: blocks[block]) { query, row in
        values.append(RankingTotals.averagePrecision(of: judge.matchRanks(query: query, row: row)))
      }
      return values
    }.flatMap { $0 }
  }

  /// The first `count` images for each of `queries`, in their order.
  package static func lists(
    of queries: [Int], count: Int, query: LabelledFeatures, gallery: LabelledFeatures, distances: some DistanceRows,
    parallelFor: ParallelFor = runSerially
  ) -> [RankedList] {
    let judge = QueryJudge(query: query, gallery: gallery)
    return parallelMap(queries.count, parallelFor) { index in
      var list: RankedList?
      distances.forEachRow(of: queries[index]..<queries[index] + 1) { query, row in
        list = self.list(of: query, row, count: count, judge)
      }
      return list!
    }
  }

  private static func list(of query: Int, _ row: UnsafeBufferPointer<Double>, count: Int, _ judge: QueryJudge)
    -> RankedList
  {
    let shown = row.indices.map { judge.isIgnored($0, query: query) ? .infinity : row[$0] }
    let first = shown.withUnsafeBufferPointer { NearestNeighbours.nearest(min(count, shown.count), in: $0) }
    let ranks = judge.matchRanks(query: query, row: row), matches = Set(ranks)
    return RankedList(
      query: query, averagePrecision: RankingTotals.averagePrecision(of: ranks), matchRanks: ranks,
      images: first.map(Int.init).filter { shown[$0] < .infinity }.enumerated().map { position, index in
        RankedList.Image(row: index, distance: row[index], isMatch: matches.contains(position + 1))
      })
  }
}
