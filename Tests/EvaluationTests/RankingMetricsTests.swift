import Evaluation
import Foundation
import Tensors
import Testing

@Suite struct RankingMetricsTests {
  /// One query of identity 1, camera 1, and a gallery in the order of its distances.
  private func metrics(_ gallery: [(identity: Int, camera: Int)]) throws -> RankingResult {
    let query = try labelled([0], columns: 1, identities: [1], cameras: [1])
    let images = try labelled(
      gallery.indices.map { Float($0) }, columns: 1, identities: gallery.map(\.identity),
      cameras: gallery.map(\.camera))
    return try Ranking.score(query: query, gallery: images, metric: .euclidean)
  }

  @Test func averagePrecisionByHand() throws {
    // Matches at ranks 2, 3 and 6: a distractor (0) and other identities are negatives.
    let result = try metrics([(0, 2), (1, 2), (1, 3), (5, 1), (7, 2), (1, 2), (9, 9)])
    #expect(abs(result.mAP - (1.0 / 2 + 2.0 / 3 + 3.0 / 6) / 3) < 1e-15)
    let trapezoids = (0.0 + 1.0 / 2) / 2 + (1.0 / 2 + 2.0 / 3) / 2 + (2.0 / 5 + 3.0 / 6) / 2
    #expect(abs(result.mAPTrapezoid - trapezoids / 3) < 1e-15)
    #expect(result.mINP == 0.5)
    #expect((result.rank1, result.rank5, result.rank10) == (0, 1, 1))
    #expect(Array(result.cmc.prefix(3)) == [0, 1, 1])
    #expect(result.cmc.count == 50)
    #expect((result.queries, result.leftOut) == (1, 0))
  }

  @Test func junkIsIgnored() throws {
    // The query's identity under its own camera, and identity −1, take no rank.
    let result = try metrics([(1, 1), (-1, 2), (1, 2), (-1, 1), (1, 1), (1, 3)])
    #expect(result.mAP == 1)
    #expect(result.mAPTrapezoid == 1)
    #expect(result.mINP == 1)
    #expect(result.rank1 == 1)
  }

  @Test func queriesWithoutMatchAreLeftOutAndCounted() throws {
    let query = try labelled([0, 0, 0, 0], columns: 1, identities: [1, 2, 3, -1], cameras: [1, 1, 1, 1])
    let gallery = try labelled([1, 2, 3, 4], columns: 1, identities: [9, 1, 2, -1], cameras: [2, 2, 1, 2])
    // Identity 2 is seen by the query's camera only, 3 not at all, and junk matches nothing.
    let result = try Ranking.score(query: query, gallery: gallery, metric: .euclidean)
    #expect((result.queries, result.leftOut) == (1, 3))
    #expect(result.mAP == 0.5)

    let alone = try labelled([0], columns: 1, identities: [3], cameras: [1], name: "alone")
    let failure = #expect(throws: Failure.self) {
      try Ranking.score(query: alone, gallery: gallery, metric: .euclidean)
    }
    #expect(failure?.kind == .data)
    #expect(failure?.message.contains("none of the 1 queries") == true)
  }

  @Test func tiesRankByGalleryIndex() throws {
    let query = try labelled([0], columns: 1, identities: [1], cameras: [1])
    let distances = GivenDistances(rows: [[2, 1, 1, 1, 2]])
    func mAP(_ identities: [Int]) throws -> Double {
      let gallery = try labelled([0, 0, 0, 0, 0], columns: 1, identities: identities, cameras: [2, 2, 2, 2, 2])
      return try Ranking.totals(queries: 0..<1, query: query, gallery: gallery, distances: distances).result().mAP
    }
    #expect(try mAP([9, 1, 9, 9, 9]) == 1)
    #expect(try mAP([9, 9, 1, 9, 9]) == 1.0 / 2)
    #expect(try mAP([9, 9, 9, 1, 9]) == 1.0 / 3)
    #expect(try mAP([1, 9, 9, 9, 9]) == 1.0 / 4)
    #expect(try mAP([9, 9, 9, 9, 1]) == 1.0 / 5)
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func agreesWithSortingEverything(seed: UInt64) throws {
    // Few distinct distances, so that most are tied; identities from −1, cameras few, galleries of many sizes.
    var generator = Generator(seed)
    let queries = 30, count = 20 + generator.bits() % 200, levels = 5 + generator.bits() % 40
    func labels(_ count: Int) throws -> LabelledFeatures {
      try labelled(
        [Float](repeating: 0, count: count), columns: 1,
        identities: (0..<count).map { _ in Int(generator.bits() % 9) - 1 },
        cameras: (0..<count).map { _ in Int(generator.bits() % 3) })
    }
    let (query, gallery) = (try labels(queries), try labels(count))
    let rows = (0..<queries).map { _ in (0..<count).map { _ in Double(generator.bits() % levels) / 3 } }
    let result = try Ranking.totals(
      queries: 0..<queries, query: query, gallery: gallery, distances: GivenDistances(rows: rows)
    ).result()
    expectEqual(result, sortedMetrics(rows, query: query, gallery: gallery), within: 1e-13)
  }

  @Test func sharesOfTheQueriesAddUp() throws {
    let query = try generatedFeatures(seed: 3, rows: 150, columns: 5, identities: 8)
    let gallery = try generatedFeatures(seed: 4, rows: 200, columns: 5, identities: 8, copies: 60)
    let distances = try Distances(query: query, gallery: gallery, metric: .cosine)
    let whole = Ranking.totals(queries: 0..<150, query: query, gallery: gallery, distances: distances)
    var sum = [Double](repeating: 0, count: RankingTotals.vectorCount)
    for share in [0..<1, 1..<70, 70..<70, 70..<150] {
      let totals = Ranking.totals(queries: share, query: query, gallery: gallery, distances: distances)
      #expect(totals.queries + totals.leftOut == Double(share.count))
      for (index, value) in totals.vector.enumerated() { sum[index] += value }
    }
    expectEqual(try RankingTotals(vector: sum).result(), try whole.result(), within: 1e-14)
    #expect(RankingTotals(vector: whole.vector) == whole)
  }

  @Test func threadsChangeNothing() throws {
    let query = try generatedFeatures(seed: 5, rows: 200, columns: 6, identities: 9)
    let gallery = try generatedFeatures(seed: 6, rows: 150, columns: 6, identities: 9, copies: 40)
    let parameters = try ReRanking.Settings(k1: 6, k2: 3)
    for reRanking in [nil, parameters] {
      let serial = try Ranking.score(query: query, gallery: gallery, metric: .euclidean, reRanking: reRanking)
      let parallel = try Ranking.score(
        query: query, gallery: gallery, metric: .euclidean, reRanking: reRanking,
        parallelFor: { count, body in
          withoutActuallyEscaping(body) { body in
            nonisolated(unsafe) let body = body
            // Last first, to show that the order does not matter either.
            DispatchQueue.concurrentPerform(iterations: count) { body(count - 1 - $0) }
          }
        })
      #expect(serial == parallel)
    }
  }

  @Test func resultHasTheKeysOfTheContract() throws {
    let result = try metrics([(1, 2), (3, 1)])
    let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(result)) as? [String: Any]
    #expect(
      Set(try #require(object).keys) == [
        "mAP", "mAPTrapezoid", "mINP", "rank1", "rank5", "rank10", "rank20", "cmc", "queries", "leftOut",
      ])
  }
}

/// Every figure of two results.
func expectEqual(
  _ left: RankingResult, _ right: RankingResult, within tolerance: Double,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(left.queries == right.queries, sourceLocation: sourceLocation)
  #expect(left.leftOut == right.leftOut, sourceLocation: sourceLocation)
  let figures: [KeyPath<RankingResult, Double>] = [\.mAP, \.mAPTrapezoid, \.mINP, \.rank1, \.rank5, \.rank10, \.rank20]
  for figure in figures {
    let difference = abs(left[keyPath: figure] - right[keyPath: figure])
    #expect(difference <= tolerance, "\(figure)", sourceLocation: sourceLocation)
  }
  #expect(left.cmc.count == right.cmc.count, sourceLocation: sourceLocation)
  for (rank, (a, b)) in zip(left.cmc, right.cmc).enumerated() {
    #expect(abs(a - b) <= tolerance, "CMC at rank \(rank + 1)", sourceLocation: sourceLocation)
  }
}
