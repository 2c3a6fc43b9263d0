import Tensors

/// How a ranking follows what an operator says of gallery images. q, r, n, x: the query, relevant, non-relevant and any
/// images' features, of unit length under the cosine; R and N what has been labelled so far.
package enum FeedbackMethod: String, CaseIterable, Sendable {
  /// The query moves (Rocchio, "Relevance Feedback in Information Retrieval", 1971): q' = q + β·mean R − γ·mean N, and the
  /// gallery is ranked by its distance to q'.
  case queryShift
  /// Nearest neighbours (Giacinto, Roli: "Instance-Based Relevance Feedback for Image Retrieval", 2004): ranked by
  /// s(x) = d(x, nearest N) / (d(x, nearest R) + d(x, nearest N)), descending, with the query in R. Without an N, by
  /// d(x, nearest R).
  case relevanceScore
  /// Online passive-aggressive steps (Crammer et al., 2006; for ranking images, Grangier and Bengio, 2008): w starts as the
  /// query; for each pair with a label of this round w ← w + τ(r − n), τ = min(C, ℓ/‖r − n‖²), ℓ = max(0, 1 − w·(r − n)).
  /// Ranked by w·x, descending.
  case passiveAggressive
}

/// Retrieval with a human in the loop (Delussu, Putzu, Fumera, Roli: "Online Domain Adaptation for Person Re-Identification
/// with a Human in the Loop", ICPR 2020; reconstructed from the abstract, the methods from where they come from).
///
/// In each round an operator, who is simulated by the identities, labels the first k images of a query's ranking that have
/// no label yet, and the ranking is made anew: labelled relevant images first, then those without a label by a
/// `FeedbackMethod`, labelled non-relevant ones last. Images that are ignored for the query are not shown. Where no image
/// is left to be shown the ranking stays: without labels (k = 0) it is that of `Ranking.score` in every round, and with
/// k = the gallery all matches are first after one.
///
/// Every query is by itself. Scores are computed in float64 and rounded to a grid, so that copies of an image stay
/// together; images of one score are in the order of the gallery.
package struct Feedback: Sendable {
  /// T.
  package let rounds: Int
  /// k, the labels of a query and round.
  package let labels: Int
  /// The weights of the means of relevant and non-relevant images.
  package let beta: Double, gamma: Double
  /// C, the longest passive-aggressive step.
  package let aggressiveness: Double

  /// - Throws: `Failure.usage` for a value out of range.
  package init(
    rounds: Int = 5, labels: Int = 10, beta: Double = 0.75, gamma: Double = 0.25, aggressiveness: Double = 1
  ) throws {
    guard (1...1000).contains(rounds) else { throw Failure.usage("feedback: \(rounds) rounds; expected 1 to 1000") }
    guard labels >= 0 else { throw Failure.usage("feedback: \(labels) labels a round; expected 0 or more") }
    for (name, value) in [("beta", beta), ("gamma", gamma), ("aggressiveness", aggressiveness)] {
      guard (0...1000).contains(value) else {
        throw Failure.usage("feedback: \(name) = \(value) is not within 0 … 1000")
      }
    }
    (self.rounds, self.labels, self.beta, self.gamma) = (rounds, labels, beta, gamma)
    self.aggressiveness = aggressiveness
  }

  /// The metrics before any label, as `Ranking.score` has them, and after each round. (1 + rounds)
  ///
  /// Blocks of queries are independent jobs for `parallelFor`, each of which takes at most 4 KB for each gallery row.
  ///
  /// - Throws: `Failure.data` as `Ranking.score` does.
  package func results(
    query: LabelledFeatures, gallery: LabelledFeatures, metric: DistanceMetric, method: FeedbackMethod,
    parallelFor: ParallelFor = runSerially
  ) throws -> [RankingResult] {
    let distances = try Distances(query: query, gallery: gallery, metric: metric)
    if metric == .cosine { try Ranking.requireDirections(query, gallery) }
    let judge = QueryJudge(query: query, gallery: gallery)
    let space = FeedbackSpace(query: query.matrix, gallery: gallery.matrix, metric: metric)
    let jobs = blocks(of: 0..<query.matrix.rows, size: Ranking.sumRows)
    let parts = parallelMap(jobs.count, parallelFor) { job in
      totals(of: jobs[job], judge, distances, FeedbackLearner(method, self, space))
    }
    return try (0...rounds).map { round in
      try parts.reduce(into: RankingTotals()) { $0 += $1[round] }.result()
    }
  }

  /// Of a block of queries, before any label and after each round.
  private func totals(
    of queries: Range<Int>, _ judge: QueryJudge, _ distances: Distances, _ learner: FeedbackLearner
  ) -> [RankingTotals] {
    var rows: [[Double]] = []
    distances.forEachRow(of: queries) { _, row in rows.append(Array(row)) }
    func judged() -> RankingTotals {
      zip(queries, rows).reduce(into: RankingTotals()) { totals, row in
        totals.add(matchRanks: row.1.withUnsafeBufferPointer { judge.matchRanks(query: row.0, row: $0) })
      }
    }
    var learner = learner, totals = [judged()]
    learner.begin(queries, rows)
    var labels = [FeedbackLabels](repeating: FeedbackLabels(), count: queries.count)
    for _ in 0..<rounds {
      let told = queries.indices.map { $0 - queries.startIndex }.filter { slot in
        let shown = shown(to: queries.startIndex + slot, rows[slot], judge)
        labels[slot].add(shown) { judge.galleryIdentities[$0] == judge.queryIdentities[queries.startIndex + slot] }
        return !shown.isEmpty
      }
      learner.learn(told, labels, into: &rows)
      for slot in told {
        for index in labels[slot].relevant { rows[slot][index] = -.infinity }
        for index in labels[slot].nonRelevant { rows[slot][index] = .infinity }
      }
      totals.append(judged())
    }
    return totals
  }

  /// The first images of a ranking without a label; those that have one are at an infinite distance.
  private func shown(to query: Int, _ row: [Double], _ judge: QueryJudge) -> [Int] {
    let open = row.indices.map { row[$0].isInfinite || judge.isIgnored($0, query: query) ? .infinity : row[$0] }
    let first = open.withUnsafeBufferPointer { NearestNeighbours.nearest(min(labels, open.count), in: $0) }
    return first.map(Int.init).filter { open[$0] < .infinity }
  }
}

/// What an operator has said for a query: rows of the gallery, in the order they were shown.
struct FeedbackLabels {
  private(set) var relevant: [Int] = [], nonRelevant: [Int] = []
  /// How many of each were there before this round.
  private(set) var known = (relevant: 0, nonRelevant: 0)

  mutating func add(_ shown: [Int], where isRelevant: (Int) -> Bool) {
    known = (relevant.count, nonRelevant.count)
    for index in shown {
      if isRelevant(index) { relevant.append(index) } else { nonRelevant.append(index) }
    }
  }

  var newRelevant: ArraySlice<Int> { relevant[known.relevant...] }
  var newNonRelevant: ArraySlice<Int> { nonRelevant[known.nonRelevant...] }

  /// Relevant and non-relevant, with a label of this round on one side at least: each pair comes once in all rounds.
  func forEachNewPair(_ body: (_ relevant: Int, _ nonRelevant: Int) -> Void) {
    for (position, one) in relevant.enumerated() {
      for other in position < known.relevant ? newNonRelevant : nonRelevant[...] { body(one, other) }
    }
  }
}
