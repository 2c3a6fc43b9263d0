import Evaluation
import Foundation
import Tensors
import Testing

/// Every figure of `Scoring` beside its definition, spelled out on whole sorted lists.
@Suite struct ScoringTests {
  private let query: LabelledFeatures, gallery: LabelledFeatures
  private let count = 150

  init() throws {
    query = try generatedFeatures(seed: 41, rows: 150, columns: 5, identities: 14, copies: 20)
    gallery = try generatedFeatures(seed: 42, rows: 400, columns: 5, identities: 13, copies: 150)
  }

  private func scores(
    _ metric: DistanceMetric = .euclidean, parallelFor: ParallelFor = runSerially,
    changing change: (inout ScoringOptions) -> Void = { _ in }
  ) throws -> Scores {
    var options = ScoringOptions()
    options.metric = metric
    change(&options)
    return try Scoring.scores(query: query, gallery: gallery, options, parallelFor: parallelFor)
  }

  /// Distances of whole features by `metric`; copies of one image are at the same distance of everything.
  private func direct(_ metric: DistanceMetric) -> [[Double]] { directDistances(query.matrix, gallery.matrix, metric) }

  @Test(arguments: DistanceMetric.allCases) func bothMetricsComeFromOnePass(metric: DistanceMetric) throws {
    let scores = try scores(metric)
    #expect(scores.plain == (metric == .cosine ? scores[.cosine] : scores[.euclidean]))
    #expect(scores.rows.map(\.row) == [.euclidean, .cosine])
    for (row, metric) in [(Scores.Row.euclidean, DistanceMetric.euclidean), (.cosine, .cosine)] {
      let expected = sortedMetrics(direct(metric), query: query, gallery: gallery)
      expectEqual(try #require(scores[row]), expected, within: 1e-12)
      #expect(
        try Ranking.score(query: query, gallery: gallery, metric: metric) == scores[row] || metric != scores.metric)
    }
    #expect(scores[.euclidean] != scores[.cosine])
  }

  /// Features far from the origin and near each other, and a vector of zeros.
  @Test func theOtherMetricIsThatOfConcentratedFeatures() throws {
    func moved(_ features: LabelledFeatures, _ offset: Float) throws -> LabelledFeatures {
      var values = features.matrix.values.map { $0 * 0.01 + offset }
      for column in 0..<5 { values[5 * 7 + column] = 0 }
      return try labelled(values, columns: 5, identities: features.identities, cameras: features.cameras)
    }
    let (query, gallery) = (try moved(query, 2), try moved(gallery, 2))
    for metric in DistanceMetric.allCases {
      var one = ScoringOptions(), two = ScoringOptions()
      (one.metric, two.metric) = (metric, metric.other)
      let first = try Scoring.scores(query: query, gallery: gallery, one)
      let second = try Scoring.scores(query: query, gallery: gallery, two)
      for row in [Scores.Row.euclidean, .cosine] { #expect(first[row] == second[row], "\(metric) \(row)") }
    }
  }

  @Test func singleGalleryShotRanksOneDrawnImageOfEachIdentity() throws {
    let result = try #require(try scores(changing: { $0.singleShot = true })[.singleShot]), plain = try scores().plain
    #expect((result.mAP, result.mINP, result.queries) == (plain.mAP, plain.mINP, plain.queries))
    let distances = direct(.euclidean)
    var firsts = [Double](repeating: 0, count: 50), judged = 0.0
    for row in 0..<count {
      let identity = query.identities[row], camera = query.cameras[row]
      let kept = gallery.identities.indices.filter {
        gallery.identities[$0] >= 0 && !(gallery.identities[$0] == identity && gallery.cameras[$0] == camera)
      }
      let people = Dictionary(grouping: kept) { gallery.identities[$0] }
      guard identity >= 0, people[identity] != nil else { continue }
      judged += 1
      for repetition in 0..<10 {
        var random = CounterRandom(seed: 0, epoch: repetition, position: row, purpose: .evaluation)
        var drawn: [Int] = []
        for person in Set(gallery.identities).filter({ $0 >= 0 }).sorted() {
          if let images = people[person] { drawn.append(images[random.integer(below: images.count)]) }
        }
        let order = drawn.sorted { (distances[row][$0], $0) < (distances[row][$1], $1) }
        firsts[order.firstIndex { gallery.identities[$0] == identity }!] += 0.1
      }
    }
    #expect(Int(judged) == result.queries)
    for rank in 0..<50 {
      #expect(abs(result.cmc[rank] - firsts[...rank].reduce(0, +) / judged) < 1e-12, "rank \(rank + 1)")
    }
    #expect(result.cmc != plain.cmc)
  }

  /// Distances of small whole numbers, most of them tied.
  @Test func verificationCountsPairsBelowAThreshold() throws {
    var generator = Generator(5)
    func whole(_ features: LabelledFeatures) throws -> LabelledFeatures {
      let values = features.identities.flatMap { identity in
        (0..<3).map { _ in Float(abs(identity) % 7 * 9 + generator.bits() % 12) }
      }
      return try labelled(values, columns: 3, identities: features.identities, cameras: features.cameras)
    }
    let (query, gallery) = (try whole(query), try whole(gallery))
    var options = ScoringOptions()
    options.verification = true
    for metric in DistanceMetric.allCases {
      options.metric = metric
      let rates = try #require(try Scoring.scores(query: query, gallery: gallery, options).verification)
      var (same, different): ([Float], [Float]) = ([], [])
      let distances = try Distances(query: query, gallery: gallery, metric: metric).matrix()
      for row in query.identities.indices where query.identities[row] >= 0 {
        for index in gallery.identities.indices where gallery.identities[index] >= 0 {
          if gallery.identities[index] != query.identities[row] {
            different.append(Float(distances[row][index]))
          } else if gallery.cameras[index] != query.cameras[row] {
            same.append(Float(distances[row][index]))
          }
        }
      }
      #expect((rates.samePairs, rates.differentPairs) == (same.count, different.count))
      // The best of all thresholds that keep the rate: up through both lists, ties together.
      (same, different) = (same.sorted(), different.sorted())
      var best = [0.0, 0, 0], passed = (same: 0, different: 0)
      for threshold in Set(same + different).sorted() + [.infinity] {
        while passed.same < same.count, same[passed.same] < threshold { passed.same += 1 }
        while passed.different < different.count, different[passed.different] < threshold { passed.different += 1 }
        for (index, limit) in [1e-4, 1e-3, 1e-2].enumerated()
        where Double(passed.different) <= limit * Double(different.count) {
          best[index] = Double(passed.same) / Double(same.count)
        }
      }
      #expect(rates.truePositiveRates == best, "\(metric)")
      #expect(rates.truePositiveRates[2] > rates.truePositiveRates[0])
    }
  }

  @Test func camerasAreJudgedByThemselves() throws {
    let pairs = try #require(try scores(changing: { $0.cameraPairs = true }).cameraPairs),
      distances = direct(.euclidean)
    #expect(pairs.count == 6)
    for pair in pairs {
      let rows = query.cameras.indices.filter { query.cameras[$0] == pair.queryCamera }
      let columns = gallery.cameras.indices.filter { gallery.cameras[$0] == pair.galleryCamera }
      func part(_ features: LabelledFeatures, _ rows: [Int]) throws -> LabelledFeatures {
        try labelled(
          [Float](repeating: 0, count: rows.count), columns: 1, identities: rows.map { features.identities[$0] },
          cameras: rows.map { features.cameras[$0] })
      }
      let expected = sortedMetrics(
        rows.map { row in columns.map { distances[row][$0] } }, query: try part(query, rows),
        gallery: try part(gallery, columns))
      #expect(abs(pair.mAP - expected.mAP) < 1e-12 && abs(pair.rank1 - expected.rank1) < 1e-12)
      #expect(pair.queries == expected.queries && pair.queryCamera != pair.galleryCamera)
    }
  }

  @Test func queriesOfOneIdentityAndCameraArePooled() throws {
    let result = try #require(try scores(changing: { $0.multiQuery = true })[.multiQuery])
    let values = query.identities.indices.flatMap { row -> [Float] in
      var rows: [ArraySlice<Float>] = []
      for features in [query, gallery] {
        for other in features.identities.indices
        where features.identities[other] == query.identities[row] && features.cameras[other] == query.cameras[row] {
          rows.append(features.matrix.values[other * 5..<other * 5 + 5])
        }
      }
      if query.identities[row] < 0 { rows = [query.matrix.values[row * 5..<row * 5 + 5]] }
      return (0..<5).map { column in
        Float(rows.reduce(0.0) { $0 + Double($1[$1.startIndex + column]) } / Double(rows.count))
      }
    }
    let pooled = FeatureMatrix(rows: count, columns: 5, values: values)
    let expected = sortedMetrics(
      directDistances(pooled, gallery.matrix, .euclidean), query: query, gallery: gallery)
    expectEqual(result, expected, within: 1e-12)
    #expect(try result != scores().plain)
  }

  @Test(arguments: [(10, 3.0), (1, 0.0), (4, 0.0), (1000, 1.5)])
  func expandedFeaturesAreMeansOfNeighbours(neighbours: Int, alpha: Double) throws {
    let result = try #require(
      try scores(changing: { $0.expansion = try? AverageExpansion(neighbours: neighbours, alpha: alpha) })[.expanded])
    let rows = count + 400, k = min(neighbours, rows)
    let all = FeatureMatrix(rows: rows, columns: 5, values: query.matrix.values + gallery.matrix.values)
    // Sorted by the distances' own grid, for copies; weighted by cosines of the vectors.
    let near = try Distances(
      query: labelled(
        all.values, columns: 5, identities: [Int](repeating: 1, count: rows), cameras: [Int](repeating: 1, count: rows)),
      gallery: labelled(
        all.values, columns: 5, identities: [Int](repeating: 1, count: rows), cameras: [Int](repeating: 1, count: rows)),
      metric: .cosine
    ).matrix()
    let cosines = directDistances(all, all, .cosine)
    let values = (0..<rows).flatMap { row -> [Float] in
      let nearest = (0..<rows).sorted { (near[row][$0], $0) < (near[row][$1], $1) }.prefix(k)
      return (0..<5).map { column in
        let sum = nearest.reduce(0.0) {
          $0 + pow(max(0, 1 - cosines[row][$1]), alpha) * Double(all.values[$1 * 5 + column])
        }
        return Float(sum / Double(k))
      }
    }
    let first = FeatureMatrix(rows: count, columns: 5, values: Array(values[..<(count * 5)]))
    let second = FeatureMatrix(rows: 400, columns: 5, values: Array(values[(count * 5)...]))
    let expected = sortedMetrics(directDistances(first, second, .euclidean), query: query, gallery: gallery)
    // Weights differ in their last bits, and copies are neighbours of copies: a float32 may round the other way.
    expectEqual(result, expected, within: 2e-3)
    if neighbours == 1 { #expect(try abs(result.mAP - scores().plain.mAP) < 1e-12) }
  }

  @Test func threadsChangeNoBit() throws {
    func all(_ parallelFor: ParallelFor) throws -> Scores {
      try scores(
        .cosine, parallelFor: parallelFor,
        changing: {
          ($0.multiQuery, $0.singleShot, $0.verification, $0.cameraPairs) = (true, true, true, true)
          $0.expansion = AverageExpansion()
          $0.reRanking = try? .init()
        })
    }
    let serial = try all(runSerially)
    #expect(serial.rows.count == 6)
    #expect(try serial == all { count, body in for index in (0..<count).reversed() { body(index) } })
  }

  @Test func nothingToJudgeIsFoundBeforeItIsComputed() throws {
    let alone = try labelled([0], columns: 1, identities: [3], cameras: [1])
    let other = try labelled([1], columns: 1, identities: [4], cameras: [2])
    let failure = #expect(throws: Failure.self) { try Scoring.check(alone, other) }
    #expect(failure?.kind == .data && failure?.message.contains("none of the 1 queries") == true)
    try Scoring.check(query, gallery)
  }

  @Test func expansionOutOfRangeIsRefused() throws {
    for (neighbours, alpha, name) in [
      (0, 3.0, "0 neighbours"), (1001, 3, "1001"), (10, -1, "alpha = -1"), (10, .nan, "nan"),
    ] {
      let failure = #expect(throws: Failure.self) { try AverageExpansion(neighbours: neighbours, alpha: alpha) }
      #expect(failure?.kind == .usage && failure?.message.contains(name) == true)
    }
  }

  /// Said before re-ranking starts.
  @Test func reRankingIsAnnounced() throws {
    var options = ScoringOptions(), estimates: [ReRankingEstimate] = []
    options.reRanking = try .init()
    _ = try Scoring.scores(query: query, gallery: gallery, options, threads: 3, announce: { estimates.append($0) })
    #expect(estimates.count == 1 && estimates[0].images == 550 && estimates[0].seconds > 0)
    let bytes = try ReRanking.memoryEstimate(images: 550, columns: 5, parameters: .init(), threads: 3)
    #expect(estimates.first?.bytes == bytes)
  }
}
