import Tensors

/// The metrics of ranking a gallery for queries.
package enum Ranking {
  /// Queries that are added up before they are added to the others: the order of the sum, and so its last bits.
  static let sumRows = 64

  /// The totals of `queries`, one share of the whole: ranks (of MPI) take a range each and sum the totals.
  ///
  /// The blocks of queries are independent jobs for `parallelFor`; they are added in order, so that the sum does not
  /// depend on the threads.
  ///
  /// - Parameters:
  ///   - queries: within 0 ..< `distances.queryCount`.
  ///   - distances: `Distances` of these features, or their `ReRanking`.
  package static func totals(
    queries: Range<Int>, query: LabelledFeatures, gallery: LabelledFeatures, distances: some DistanceRows,
    parallelFor: ParallelFor = runSerially
  ) -> RankingTotals {
    precondition(distances.queryCount == query.matrix.rows && distances.galleryCount == gallery.matrix.rows)
    let judge = QueryJudge(query: query, gallery: gallery)
    let blocks = blocks(of: queries, size: Distances.blockRows)
    let totals = parallelMap(blocks.count, parallelFor) { block in
      let block = blocks[block]
      var totals = [RankingTotals](repeating: RankingTotals(), count: (block.count + sumRows - 1) / sumRows)
      distances.forEachRow(of: block) { query, row in
        totals[(query - block.lowerBound) / sumRows].add(matchRanks: judge.matchRanks(query: query, row: row))
      }
      return totals
    }
    return totals.joined().reduce(into: RankingTotals()) { $0 += $1 }
  }

  /// The metrics of all queries: `lineup score`.
  ///
  /// - Parameter reRanking: how to re-rank before, if at all (see `ReRanking`, and its `memoryEstimate`).
  /// - Throws: `Failure.data` if features are empty, not finite or of different length, if one has no direction (all 0)
  ///   where the cosine asks for it, or if no query has a match.
  package static func score(
    query: LabelledFeatures, gallery: LabelledFeatures, metric: DistanceMetric, reRanking: ReRanking.Settings? = nil,
    parallelFor: ParallelFor = runSerially
  ) throws -> RankingResult {
    let queries = 0..<query.matrix.rows
    if metric == .cosine { try requireDirections(query, gallery) }
    let totals: RankingTotals
    if let reRanking {
      let distances = try ReRanking(
        query: query, gallery: gallery, metric: metric, parameters: reRanking, parallelFor: parallelFor)
      totals = Self.totals(
        queries: queries, query: query, gallery: gallery, distances: distances, parallelFor: parallelFor)
    } else {
      let distances = try Distances(query: query, gallery: gallery, metric: metric)
      totals = Self.totals(
        queries: queries, query: query, gallery: gallery, distances: distances, parallelFor: parallelFor)
    }
    return try totals.result()
  }

  /// - Throws: `Failure.data` that names the features and the row, if one has no direction (all 0), which the cosine needs.
  package static func requireDirections(_ query: LabelledFeatures, _ gallery: LabelledFeatures) throws {
    for features in [query, gallery] {
      guard let row = CentredFeatures.scales(of: features.matrix, .cosine).firstIndex(of: 0) else { continue }
      throw Failure.data(features.name, "row \(row) (counted from 0) is all 0, which has no cosine")
    }
  }
}
