import Evaluation
import Tensors
import Testing

@Suite struct SampleDependentDistanceTests {
  private let query: LabelledFeatures, gallery: LabelledFeatures

  /// More bits than a word, more images than are ordered anew.
  init() throws {
    query = try generatedFeatures(seed: 31, rows: 24, columns: 70, identities: 12)
    gallery = try generatedFeatures(seed: 32, rows: 180, columns: 70, identities: 11, copies: 12)
  }

  /// Computed by NumPy: of 21 queries with a match, the last two how many have one at rank 1 and among the first 5.
  struct Golden: Sendable {
    let metric: DistanceMetric, neighbours: Int, bits: Int
    var isTrained = false
    let mAP: Double, mINP: Double, first: Int, five: Int
  }

  static let cases = [
    Golden(
      metric: .euclidean, neighbours: 20, bits: 35, mAP: 0.11813133139406067, mINP: 0.1271958578446608, first: 1,
      five: 5),
    Golden(
      metric: .euclidean, neighbours: 5, bits: 64, mAP: 0.34691819275736174, mINP: 0.17554963474678478, first: 6,
      five: 19),
    Golden(
      metric: .euclidean, neighbours: 10, bits: 20, isTrained: true, mAP: 0.10177356716185104,
      mINP: 0.1248624398317759, first: 0, five: 2),
    Golden(
      metric: .euclidean, neighbours: 20, bits: 70, mAP: 0.36931058120667787, mINP: 0.19597643038796472, first: 9,
      five: 18),
    Golden(
      metric: .cosine, neighbours: 20, bits: 35, mAP: 0.11640801706277208, mINP: 0.12721289143499948, first: 1, five: 6),
    Golden(
      metric: .cosine, neighbours: 10, bits: 20, isTrained: true, mAP: 0.1014622717088556, mINP: 0.1251252977260004,
      first: 0, five: 1),
  ]

  @Test(arguments: cases) func agreesWithNumPy(golden: Golden) throws {
    let training = try generatedFeatures(seed: 33, rows: 51, columns: 70, identities: 12).matrix
    var options = ScoringOptions()
    options.metric = golden.metric
    options.masks = try .init(
      neighbours: golden.neighbours, bits: golden.bits, thresholds: golden.isTrained ? training.medians() : nil)
    let scores = try Scoring.scores(query: query, gallery: gallery, options), result = try #require(scores[.masked])
    #expect(result.queries == 21)
    #expect(abs(result.mAP - golden.mAP) < 1e-12 && abs(result.mINP - golden.mINP) < 1e-12)
    #expect(abs(result.rank1 - Double(golden.first) / 21) < 1e-12)
    #expect(abs(result.rank5 - Double(golden.five) / 21) < 1e-12)
    options.masks = nil
    let plain = try Scoring.scores(query: query, gallery: gallery, options)
    #expect(plain[.masked] == nil && plain.plain == scores.plain && plain[.cosine] == scores[.cosine])
  }

  private func bits(_ matrix: FeatureMatrix, above thresholds: [Double]) -> [[Bool]] {
    (0..<matrix.rows).map { row in
      (0..<matrix.columns).map { Double(matrix.values[row * matrix.columns + $0]) > thresholds[$0] }
    }
  }

  private func order(_ row: [Double]) -> [Int] { row.indices.sorted { (row[$0], $0) < (row[$1], $1) } }

  private func rows(_ settings: SampleDependentDistance.Settings, _ distances: Distances) throws -> [[Double]] {
    try SampleDependentDistance(query: query, gallery: gallery, distances: distances, settings).matrix()
  }

  /// Whole orders; more neighbours than there are, one, half of the bits, one bit.
  @Test(arguments: [(20, nil), (3, 9), (1, 1), (10_000, 40), (7, 70)] as [(Int, Int?)])
  func agreesWithListsOfBits(neighbours: Int, bits count: Int?) throws {
    let distances = try Distances(query: query, gallery: gallery, metric: .euclidean), plain = distances.matrix()
    let medians = gallery.matrix.medians()
    let (asked, shown) = (bits(query.matrix, above: medians), bits(gallery.matrix, above: medians))
    let found = try rows(try .init(neighbours: neighbours, bits: count), distances)
    for row in [5, 23] {
      let expected = maskedOrder(
        order(plain[row]), query: asked[row], gallery: shown, neighbours: neighbours, bits: count ?? 35)
      #expect(order(found[row]) == expected, "query \(row)")
    }
  }

  @Test func withAllBitsItIsTheHammingDistanceOfTheFirstHundred() throws {
    let distances = try Distances(query: query, gallery: gallery, metric: .cosine), plain = distances.matrix()
    let medians = gallery.matrix.medians()
    let (asked, shown) = (bits(query.matrix, above: medians), bits(gallery.matrix, above: medians))
    for (row, found) in try rows(try .init(bits: 70), distances).enumerated() {
      let before = order(plain[row]), after = order(found)
      let hamming = shown.map { image in zip(image, asked[row]).count { $0 != $1 } }
      #expect(Array(after.prefix(100)) == before.prefix(100).sorted { (hamming[$0], $0) < (hamming[$1], $1) })
      #expect(after.dropFirst(100) == before.dropFirst(100))
      for index in before.prefix(100) { #expect(abs(found[index] + 2 - Double(hamming[index]) / 70) < 1e-15) }
    }
  }

  @Test func mediansAreThoseOfTheColumns() {
    let odd = FeatureMatrix(rows: 3, columns: 2, values: [5, -1, 1, -7, 2, 4])
    #expect(odd.medians() == [2, -1])
    #expect(FeatureMatrix(rows: 4, columns: 1, values: [4, 1, 3, 8]).medians() == [3.5])
  }

  @Test func threadsChangeNoBit() throws {
    let distances = try Distances(query: query, gallery: gallery, metric: .cosine)
    let reversed = try SampleDependentDistance(
      query: query, gallery: gallery, distances: distances, .init(),
      parallelFor: { count, body in
        for index in (0..<count).reversed() { body(index) }
      })
    #expect(try rows(.init(), distances) == reversed.matrix())
  }

  @Test func oneImageHasAMaskToo() throws {
    let image = try labelled([1, 2, 3], columns: 3, identities: [1], cameras: [2])
    let distances = try Distances(query: image, gallery: image, metric: .euclidean)
    let masked = try SampleDependentDistance(query: image, gallery: image, distances: distances, .init())
    #expect(masked.matrix() == [[-2]])
  }

  @Test func whatDoesNotFitIsRefused() throws {
    for (settings, name) in [
      ({ try .init(neighbours: 0) }, "0 neighbours"), ({ try .init(bits: 0) }, "0 bits"),
    ] as [(() throws -> SampleDependentDistance.Settings, String)] {
      let failure = #expect(throws: Failure.self) { try settings() }
      #expect(failure?.kind == .usage && failure?.message.contains(name) == true)
    }
    let wide = #expect(throws: Failure.self) { try SampleDependentDistance.Settings(bits: 71).check(gallery) }
    #expect(wide?.message == "masks: 71 bits, but the vectors of features have 70 elements" && wide?.kind == .usage)
    let others = #expect(throws: Failure.self) { try SampleDependentDistance.Settings(thresholds: [1]).check(gallery) }
    #expect(others?.message == "features: vectors of 70 elements, but those with the medians have 1")
  }
}
