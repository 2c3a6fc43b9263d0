import Evaluation
import Tensors
import Testing

@Suite struct GroupRetrievalTests {
  /// Sizes on both sides, costs with and without ties, and below 0.
  @Test func assignmentsAreTheBestOfAll() {
    var generator = Generator(3)
    for trial in 0..<300 {
      let rows = 1 + generator.bits() % 5, columns = 1 + generator.bits() % 5
      let costs = (0..<rows).map { _ in
        (0..<columns).map { _ in trial % 2 == 0 ? Double(generator.bits() % 5) - 2 : generator.uniform() }
      }
      let found = Assignment.leastCost(costs), pairs = found.enumerated().filter { $0.element != nil }
      #expect(found.count == rows && pairs.count == min(rows, columns))
      #expect(Set(pairs.map { $0.element! }).count == pairs.count)
      let cost = pairs.reduce(0) { $0 + costs[$1.offset][$1.element!] }
      #expect(abs(cost - leastCostOfAll(costs)) < 1e-12, "\(costs) \(found)")
    }
    #expect(Assignment.leastCost([]) == [])
    #expect(Assignment.leastCost([[], []]) == [nil, nil])
    #expect(Assignment.leastCost([[1, 1], [1, 1]]) == [0, 1])
  }

  /// Groups of a few persons, of several cameras, with persons in none.
  private static func persons(_ seed: UInt64, _ rows: Int, groups: Int) throws -> LabelledFeatures {
    var generator = Generator(seed)
    let numbers = (0..<rows).map { _ in generator.bits() % groups - 1 }
    let cameras = (0..<rows).map { _ in generator.bits() % 2 + 1 }
    return try labelled(
      (0..<rows * 4).map { _ in Float(generator.uniform()) }, columns: 4, identities: numbers, cameras: cameras)
  }

  /// The rows of each group and camera, in the order of their first persons.
  private static func places(_ persons: LabelledFeatures) -> [[Int]] {
    var keys: [[Int]] = [], rows: [[Int]: [Int]] = [:]
    for row in persons.identities.indices where persons.identities[row] >= 0 {
      let key = [persons.identities[row], persons.cameras[row]]
      if rows[key] == nil { keys.append(key) }
      rows[key, default: []].append(row)
    }
    return keys.map { rows[$0]! }
  }

  private static func vectors(_ persons: LabelledFeatures, _ groups: [[Int]]) -> [[[Double]]] {
    let columns = persons.matrix.columns
    return groups.map {
      $0.map { persons.matrix.values[$0 * columns..<($0 + 1) * columns].map(Double.init) }
    }
  }

  @Test(arguments: [nil, 1, 0.5, 0, -1] as [Double?]) func distancesAgreeWithTryingAll(threshold: Double?) throws {
    let query = try Self.persons(61, 30, groups: 9), gallery = try Self.persons(62, 45, groups: 9)
    let distances = try GroupDistances(
      query: PersonGroups(query), gallery: PersonGroups(gallery),
      removal: threshold.map { try AmbiguityRemoval(threshold: $0) })
    let asked = Self.vectors(query, Self.places(query)), shown = Self.vectors(gallery, Self.places(gallery))
    #expect((distances.queryCount, distances.galleryCount) == (asked.count, shown.count))
    #expect(asked.contains { $0.count > 2 } && shown.contains { $0.count > 3 })
    let rows = distances.matrix()
    for (row, group) in asked.enumerated() {
      for place in shown.indices {
        let similarity = groupSimilarity(group, shown, at: place, threshold: threshold)
        #expect(abs(rows[row][place] - (1 - similarity)) < 1e-10, "\(row) \(place)")
      }
    }
    // A share of the queries has the same rows.
    distances.forEachRow(of: 3..<7) { query, row in #expect(Array(row) == rows[query]) }
  }

  /// By NumPy and SciPy's linear_sum_assignment: mAP, mINP, and of 24 groups those with a match at rank 1, without and with
  /// removal.
  @Test(arguments: [
    (0.95, 0.23822439368555096, 0.17882973975205432, 3), (0.99, 0.23169012933878663, 0.17565704439185895, 2),
  ])
  func agreesWithSciPy(threshold: Double, mAP: Double, mINP: Double, first: Int) throws {
    let query = try generatedFeatures(seed: 21, rows: 60, columns: 7, identities: 12)
    let gallery = try generatedFeatures(seed: 22, rows: 130, columns: 7, identities: 12, copies: 12)
    let result = try GroupRetrieval(query: query, gallery: gallery, removal: .init(threshold: threshold))
    #expect((result.plain.queries, result.plain.leftOut) == (24, 1))
    #expect(abs(result.plain.mAP - 0.43237535544520833) < 1e-12)
    #expect(abs(result.plain.mINP - 0.36475071089041683) < 1e-12)
    #expect(abs(result.plain.rank1 - 7 / 24) < 1e-12 && abs(result.plain.rank5 - 21 / 24) < 1e-12)
    #expect(abs(result.removed.mAP - mAP) < 1e-12 && abs(result.removed.mINP - mINP) < 1e-12)
    #expect(abs(result.removed.rank1 - Double(first) / 24) < 1e-12)
    let reversed = try GroupRetrieval(
      query: query, gallery: gallery, removal: .init(threshold: threshold),
      parallelFor: { count, body in
        for index in (0..<count).reversed() { body(index) }
      })
    #expect(result == reversed)
  }

  @Test func groupsOfOneAreRankedAsTheirPersons() throws {
    func alone(_ features: LabelledFeatures, from first: Int) throws -> LabelledFeatures {
      // A camera each, and so a group each.
      try labelled(
        features.matrix.values, columns: 7, identities: features.identities,
        cameras: features.identities.indices.map { first + $0 })
    }
    let query = try alone(generatedFeatures(seed: 11, rows: 24, columns: 7, identities: 12), from: 0)
    let gallery = try alone(generatedFeatures(seed: 12, rows: 130, columns: 7, identities: 11, copies: 12), from: 100)
    let persons = try Ranking.score(query: query, gallery: gallery, metric: .cosine)
    let groups = try GroupRetrieval(query: query, gallery: gallery, removal: .init(threshold: 1))
    for result in [groups.plain, groups.removed] {
      // A query of no group is no query.
      #expect((result.mAP, result.mINP, result.cmc) == (persons.mAP, persons.mINP, persons.cmc))
      #expect(result.queries == persons.queries)
    }
  }

  /// Of a group of two, one member is in every group of the gallery: he speaks for none, the other does.
  @Test func aFamiliarMemberCountsLess() throws {
    let query = try labelled([1, 0, 0, 0, 1, 0], columns: 3, identities: [7, 7], cameras: [1, 1])
    // Group 7 with another person in his place; groups 8 and 9 with him alone.
    let gallery = try labelled(
      [0, 1, 0.2, 0.3, 0, 1, 1, 0, 0, 1, 0, 0.1], columns: 3, identities: [7, 7, 8, 9], cameras: [2, 2, 2, 2])
    let result = try GroupRetrieval(query: query, gallery: gallery, removal: .init(threshold: 0.8))
    #expect(result.plain.mAP == 1 / 3.0 && result.removed.mAP == 1)
  }

  @Test func whatCannotBeIsNamed() throws {
    let failure = #expect(throws: Failure.self) { try AmbiguityRemoval(threshold: 1.01) }
    #expect(failure?.kind == .usage && failure?.message.contains("1.01") == true)
    #expect(throws: Failure.self) { try AmbiguityRemoval(threshold: .nan) }
    let persons = try labelled([1, 2], columns: 2, identities: [1], cameras: [1], name: "q.npy")
    let nobody = try labelled([1, 2], columns: 2, identities: [-1], cameras: [1], name: "g.npy")
    let none = #expect(throws: Failure.self) {
      try GroupRetrieval(query: persons, gallery: nobody, removal: .init())
    }
    #expect(none?.message == "g.npy: no row has a group of 0 or more" && none?.kind == .data)
  }
}
