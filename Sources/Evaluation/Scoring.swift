import Foundation
import Tensors

/// What is to be found of a ranking, beside mAP and CMC by both metrics.
package struct ScoringOptions: Sendable, Equatable {
  /// The metric of all figures but the row of the other one.
  package var metric = DistanceMetric.euclidean
  package var reRanking: ReRanking.Settings?
  package var expansion: AverageExpansion?
  package var multiQuery = false
  package var singleShot = false
  package var verification = false
  package var cameraPairs = false
  package var masks: SampleDependentDistance.Settings?
  package init() {}
}

/// What was found.
package struct Scores: Sendable, Equatable {
  /// A way to rank, as a row of the table of results.
  package enum Row: String, CaseIterable, Sendable {
    case euclidean, cosine, singleShot, multiQuery, expanded, masked, parts, reRanked
  }

  /// By the metric that was asked for.
  package let metric: DistanceMetric
  package let plain: RankingResult
  package var rows: [(row: Row, result: RankingResult)] {
    Row.allCases.compactMap { row in results[row].map { (row, $0) } }
  }
  private(set) var results: [Row: RankingResult]
  package let verification: VerificationRates?
  package let cameraPairs: [CameraPair]?

  package subscript(row: Row) -> RankingResult? { results[row] }

  /// With what another way to rank has found.
  package func adding(_ row: Row, _ result: RankingResult) -> Scores {
    var scores = self
    scores.results[row] = result
    return scores
  }
}

/// What re-ranking is going to take, said before it starts.
package struct ReRankingEstimate: Sendable {
  /// Queries and gallery.
  package let images: Int
  /// At most, of each process.
  package let bytes: Int
  /// From the rate of the distances that have been computed before.
  package let seconds: Double
}

/// The ranking of a gallery for queries, in shares of several processes and on their threads.
package enum Scoring {
  /// - Throws: `Failure.data` if features are empty, not finite or of different length, or if no query has a match: before
  ///   anything is computed.
  package static func check(_ query: LabelledFeatures, _ gallery: LabelledFeatures) throws {
    try Distances.check(query, gallery)
    let judge = QueryJudge(query: query, gallery: gallery)
    let row = [Double](repeating: 0, count: gallery.matrix.rows)
    let isFound = row.withUnsafeBufferPointer { row in
      query.identities.indices.contains { !judge.matchRanks(query: $0, row: row).isEmpty }
    }
    if !isFound {
      var totals = RankingTotals()
      for _ in query.identities { totals.add(matchRanks: []) }
      _ = try totals.result()
    }
  }

  /// Every process calls it alike, with features that `check` lets pass.
  ///
  /// - Parameter announce: called before re-ranking begins.
  /// - Throws: what `shares` throws.
  package static func scores(
    query: LabelledFeatures, gallery: LabelledFeatures, _ options: ScoringOptions,
    shares: some RowShares = WholeShare(),
    threads: Int = 1, parallelFor: ParallelFor = runSerially, announce: (ReRankingEstimate) -> Void = { _ in }
  ) throws -> Scores {
    let queries = shares.own(query.matrix.rows), judge = QueryJudge(query: query, gallery: gallery)
    func totals(_ query: LabelledFeatures, _ gallery: LabelledFeatures, _ distances: some DistanceRows) throws
      -> RankingResult
    {
      let own = Ranking.totals(
        queries: queries, query: query, gallery: gallery, distances: distances, parallelFor: parallelFor)
      return try RankingTotals(vector: try shares.sum(own.vector)).result()
    }

    let start = Date()
    let distances = try Distances(query: query, gallery: gallery, metric: options.metric)
    let counts = QueryCounts(
      singleShot: options.singleShot ? SingleShot(judge) : nil,
      cameraPairs: options.cameraPairs ? CameraPairs(judge) : nil)
    let sums = try shares.sum(both(queries, judge, distances, counts, parallelFor))
    let seconds = Date().timeIntervalSince(start)
    let length = RankingTotals.vectorCount, counted = Array(sums[(2 * length)...])
    let plain = try RankingTotals(vector: Array(sums[..<length])).result()
    var results: [Scores.Row: RankingResult] = [
      row(options.metric): plain,
      row(options.metric.other): try RankingTotals(vector: Array(sums[length..<2 * length])).result(),
    ]
    if options.singleShot {
      let firsts = counted[..<RankingTotals.ranks]
      results[.singleShot] = plain.replacing(cmc: SingleShot.cmc(firsts, queries: Double(plain.queries)))
    }
    if options.multiQuery {
      let pooled = query.poolingCameras(with: gallery)
      results[.multiQuery] = try totals(
        pooled, gallery, try Distances(query: pooled, gallery: gallery, metric: options.metric))
    }
    if let expansion = options.expansion {
      let (queries, images) = try expansion.expand(query, gallery, shares: shares, parallelFor: parallelFor)
      results[.expanded] = try totals(
        queries, images, try Distances(query: queries, gallery: images, metric: options.metric))
    }
    if let masks = options.masks {
      results[.masked] = try totals(
        query, gallery,
        try SampleDependentDistance(
          query: query, gallery: gallery, distances: distances, masks, shares: shares, parallelFor: parallelFor))
    }
    let verification =
      options.verification
      ? try Verification.rates(queries: queries, judge, distances, shares: shares, parallelFor: parallelFor) : nil
    if let settings = options.reRanking {
      let images = query.matrix.rows + gallery.matrix.rows
      let work = Double(images) / Double(query.matrix.rows) * Double(images) / Double(gallery.matrix.rows)
      announce(
        ReRankingEstimate(
          images: images,
          bytes: ReRanking.memoryEstimate(
            images: images, columns: query.matrix.columns, parameters: settings, threads: threads),
          seconds: seconds * (work + Double(images) / Double(gallery.matrix.rows))))
      results[.reRanked] = try totals(
        query, gallery,
        try ReRanking(
          query: query, gallery: gallery, metric: options.metric, parameters: settings, shares: shares,
          parallelFor: parallelFor))
    }
    return Scores(
      metric: options.metric, plain: plain, results: results, verification: verification,
      cameraPairs: counts.cameraPairs?.result(Array(counted.suffix(counts.cameraPairs!.vectorCount))))
  }

  private static func row(_ metric: DistanceMetric) -> Scores.Row { metric == .cosine ? .cosine : .euclidean }

  /// The totals by the metric of `distances`, those by the other one, and `counts`, one after the other.
  private static func both(
    _ queries: Range<Int>, _ judge: QueryJudge, _ distances: Distances, _ counts: QueryCounts,
    _ parallelFor: ParallelFor
  ) -> [Double] {
    let jobs = blocks(of: queries, size: Distances.blockRows), other = distances.other()
    let parts = parallelMap(jobs.count, parallelFor) { job in
      let job = jobs[job], count = (job.count + Ranking.sumRows - 1) / Ranking.sumRows
      var totals = [RankingTotals](repeating: RankingTotals(), count: count), others = totals
      var sums = [[Double]](repeating: [Double](repeating: 0, count: counts.vectorCount), count: count)
      distances.forEachRow(of: job, and: other) { query, row, otherRow in
        let part = (query - job.lowerBound) / Ranking.sumRows
        totals[part].add(matchRanks: judge.matchRanks(query: query, row: row))
        others[part].add(matchRanks: judge.matchRanks(query: query, row: otherRow))
        counts.add(query: query, row: row, to: &sums[part])
      }
      return (0..<count).map { totals[$0].vector + others[$0].vector + sums[$0] }
    }
    let zero = [Double](repeating: 0, count: 2 * RankingTotals.vectorCount + counts.vectorCount)
    return parts.joined().reduce(zero) { zip($0, $1).map(+) }
  }
}

extension Scores {
  package static func == (left: Scores, right: Scores) -> Bool {
    left.results == right.results && left.verification == right.verification && left.cameraPairs == right.cameraPairs
  }
}
