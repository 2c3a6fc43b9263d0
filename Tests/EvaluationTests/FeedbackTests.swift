import Evaluation
import Tensors
import Testing

@Suite struct FeedbackTests {
  /// Computed by NumPy in float64 from the features of `GoldenScoreTests`: three rounds of five labels, β 0.75, γ 0.25, C 1.
  struct Golden: Sendable, CustomTestStringConvertible {
    let metric: DistanceMetric, method: FeedbackMethod
    /// Before any label, and after each round; of 22 queries, those with a match at rank 1.
    let mAP: [Double], mINP: [Double], first: [Int]

    var testDescription: String { "\(metric) \(method)" }
  }

  static let cases = [
    Golden(
      metric: .euclidean, method: .queryShift,
      mAP: [0.2953924744655034, 0.34572548531589875, 0.4058748180776021, 0.4714278022709093],
      mINP: [0.1495052712271179, 0.10716323480021508, 0.12387864934163728, 0.15326075703591796],
      first: [7, 19, 21, 21]),
    Golden(
      metric: .euclidean, method: .relevanceScore,
      mAP: [0.2953924744655034, 0.3768927275962804, 0.49971536690945634, 0.5420266950168929],
      mINP: [0.1495052712271179, 0.08333157207903953, 0.113079869063804, 0.10055626692225822],
      first: [7, 19, 22, 22]),
    Golden(
      metric: .euclidean, method: .passiveAggressive,
      mAP: [0.2953924744655034, 0.3334156578575915, 0.5073166534290159, 0.5853615488605928],
      mINP: [0.1495052712271179, 0.10348254593253454, 0.2004262697578212, 0.2364868929784867],
      first: [7, 19, 21, 21]),
    Golden(
      metric: .cosine, method: .queryShift,
      mAP: [0.2869071454736788, 0.4611451914895627, 0.5798348619862932, 0.6600007131089708],
      mINP: [0.14973390108730483, 0.17918566011199766, 0.21992358061949063, 0.27113178190192627],
      first: [5, 18, 20, 20]),
    Golden(
      metric: .cosine, method: .relevanceScore,
      mAP: [0.2869071454736788, 0.37994349195768307, 0.47592511077548916, 0.5693548239768395],
      mINP: [0.14973390108730483, 0.09477211550610626, 0.11598519067109425, 0.1240044189330824],
      first: [5, 18, 18, 21]),
    Golden(
      metric: .cosine, method: .passiveAggressive,
      mAP: [0.2869071454736788, 0.4113413326776147, 0.5665246735917406, 0.6328654777223447],
      mINP: [0.14973390108730483, 0.1485568195860376, 0.21933576137869834, 0.23783398829930302],
      first: [5, 19, 20, 21]),
  ]

  @Test(arguments: cases) func agreesWithNumPy(golden: Golden) throws {
    let query = try generatedFeatures(seed: 11, rows: 24, columns: 7, identities: 12)
    let gallery = try generatedFeatures(seed: 12, rows: 130, columns: 7, identities: 11, copies: 12)
    let results = try Feedback(rounds: 3, labels: 5).results(
      query: query, gallery: gallery, metric: golden.metric, method: golden.method)
    #expect(results.count == 4)
    for (round, result) in results.enumerated() {
      #expect((result.queries, result.leftOut) == (22, 2))
      #expect(abs(result.mAP - golden.mAP[round]) < 1e-12, "round \(round)")
      #expect(abs(result.mINP - golden.mINP[round]) < 1e-12, "round \(round)")
      #expect(abs(result.rank1 - Double(golden.first[round]) / 22) < 1e-12, "round \(round)")
    }
  }

  private static let pairs = DistanceMetric.allCases.flatMap { metric in
    FeedbackMethod.allCases.map { (metric, $0) }
  }

  /// More queries than a block, with copies and other constants.
  private static func features() throws -> (query: LabelledFeatures, gallery: LabelledFeatures) {
    (
      try generatedFeatures(seed: 51, rows: 66, columns: 6, identities: 7),
      try generatedFeatures(seed: 52, rows: 60, columns: 6, identities: 6, copies: 8)
    )
  }

  @Test(arguments: pairs) func agreesWithSortedLists(metric: DistanceMetric, method: FeedbackMethod) throws {
    let (query, gallery) = try Self.features()
    let feedback = try Feedback(rounds: 2, labels: 6, beta: 0.5, gamma: 0.6, aggressiveness: 0.3)
    let results = try feedback.results(query: query, gallery: gallery, metric: metric, method: method)
    let expected = sortedFeedback(
      query: query, gallery: gallery, metric: metric, method: method, rounds: 2, labels: 6, beta: 0.5, gamma: 0.6,
      aggressiveness: 0.3)
    for (result, expected) in zip(results, expected) { expectEqual(result, expected, within: 1e-12) }
    #expect(Set(results.map(\.mAP)).count == 3)
  }

  @Test(arguments: pairs) func withoutLabelsItIsThePlainRanking(metric: DistanceMetric, method: FeedbackMethod) throws {
    let (query, gallery) = try Self.features()
    let plain = try Ranking.score(query: query, gallery: gallery, metric: metric)
    let unlabelled = try Feedback(rounds: 2, labels: 0).results(
      query: query, gallery: gallery, metric: metric, method: method)
    #expect(unlabelled == [plain, plain, plain])
    let labelled = try Feedback(rounds: 1, labels: 3).results(
      query: query, gallery: gallery, metric: metric, method: method)
    #expect(labelled[0] == plain && labelled[1] != plain)
  }

  @Test(arguments: pairs) func withAllLabelsEveryMatchIsFirst(metric: DistanceMetric, method: FeedbackMethod) throws {
    let (query, gallery) = try Self.features()
    for labels in [gallery.matrix.rows, Int.max] {
      let results = try Feedback(rounds: 1, labels: labels).results(
        query: query, gallery: gallery, metric: metric, method: method)
      #expect(results[0].mAP < 1)
      #expect((results[1].mAP, results[1].mINP, results[1].rank1) == (1, 1, 1))
      #expect(results[1].queries == results[0].queries)
    }
  }

  @Test(arguments: pairs) func threadsChangeNoBit(metric: DistanceMetric, method: FeedbackMethod) throws {
    let (query, gallery) = try Self.features(), feedback = try Feedback(rounds: 2, labels: 4)
    let serial = try feedback.results(query: query, gallery: gallery, metric: metric, method: method)
    let reversed = try feedback.results(query: query, gallery: gallery, metric: metric, method: method) { count, body in
      for index in (0..<count).reversed() { body(index) }
    }
    #expect(serial == reversed)
  }

  /// Images of the query's own camera and junk are not shown: with one label a round, it is always spent on another.
  @Test func ignoredImagesAreNotShown() throws {
    let query = try labelled([1, 0], columns: 2, identities: [1], cameras: [1])
    // In the order of the ranking: own camera, junk, a stranger, a match, a stranger.
    let gallery = try labelled(
      [10, 0, 10, 1, 10, 2, 10, 4, 10, 3.9], columns: 2, identities: [1, -1, 5, 1, 6], cameras: [1, 2, 2, 2, 2])
    let results = try Feedback(rounds: 3, labels: 1).results(
      query: query, gallery: gallery, metric: .cosine, method: .queryShift)
    // Before: strangers at 3.9 and 2 are before the match. The first label puts one last, the second the other.
    #expect(results.map { 1 / $0.mAP } == [3, 2, 1, 1])
  }

  @Test func whatCannotBeIsRefused() throws {
    for (make, name) in [
      ({ try Feedback(rounds: 0) }, "0 rounds"), ({ try Feedback(labels: -1) }, "-1 labels"),
      ({ try Feedback(beta: .nan) }, "beta = nan"), ({ try Feedback(gamma: -0.1) }, "gamma = -0.1"),
      ({ try Feedback(aggressiveness: .infinity) }, "aggressiveness = inf"),
    ] as [(() throws -> Feedback, String)] {
      let failure = #expect(throws: Failure.self) { try make() }
      #expect(failure?.kind == .usage && failure?.message.contains(name) == true)
    }
    let zero = try labelled([0, 0], columns: 2, identities: [1], cameras: [1], name: "q.npy")
    let image = try labelled([1, 0], columns: 2, identities: [1], cameras: [2])
    let failure = #expect(throws: Failure.self) {
      try Feedback().results(query: zero, gallery: image, metric: .cosine, method: .queryShift)
    }
    #expect(failure?.message == "q.npy: row 0 (counted from 0) is all 0, which has no cosine")
  }
}
