import Evaluation
import Tensors
import Testing

@Suite struct DistancesTests {
  @Test(arguments: DistanceMetric.allCases)
  func agreeWithDifferencesOfTheVectors(metric: DistanceMetric) throws {
    // More queries than a block and more gallery rows than a panel, and multiples of neither.
    let query = try generatedFeatures(seed: 1, rows: 131, columns: 7, identities: 9)
    let gallery = try generatedFeatures(seed: 2, rows: 1100, columns: 7, identities: 9)
    let direct = directDistances(query.matrix, gallery.matrix, metric)
    let distances = try Distances(query: query, gallery: gallery, metric: metric)
    var seen: [Int] = []
    distances.forEachRow(of: 2..<131) { index, row in
      seen.append(index)
      let error = zip(row, direct[index]).map { abs($0 - $1) }.max()!
      #expect(error < 1e-10, "query \(index)")
    }
    #expect(seen == Array(2..<131))
  }

  @Test(arguments: DistanceMetric.allCases)
  func aCommonOffsetDoesNotChangeTheOrder(metric: DistanceMetric) throws {
    // Vectors that differ by a ten-thousandth of their length: ‖q‖² + ‖g‖² − 2 q·g in float32 would be noise.
    var generator = Generator(77)
    func features(_ rows: Int) throws -> LabelledFeatures {
      let values = (0..<rows * 16).map { _ in Float(100 + 0.02 * generator.uniform()) }
      return try labelled(
        values, columns: 16, identities: [Int](repeating: 1, count: rows),
        cameras: [Int](repeating: 1, count: rows))
    }
    let (query, gallery) = (try features(10), try features(300))
    let direct = directDistances(query.matrix, gallery.matrix, metric)
    try Distances(query: query, gallery: gallery, metric: metric).forEachRow(of: 0..<10) { index, row in
      func order(_ distances: [Double]) -> [Int] { distances.indices.sorted { distances[$0] < distances[$1] } }
      #expect(order(Array(row)) == order(direct[index]))
      for column in 0..<300 { #expect(abs(row[column] / direct[index][column] - 1) < 1e-6) }
    }
  }

  @Test(arguments: DistanceMetric.allCases)
  func copiesAreAtTheSameDistanceWhereverTheyStand(metric: DistanceMetric) throws {
    let query = try generatedFeatures(seed: 8, rows: 67, columns: 33, identities: 5)
    let gallery = try generatedFeatures(seed: 9, rows: 1037, columns: 33, identities: 5, copies: 500)
    let rows = try Distances(query: query, gallery: gallery, metric: metric).matrix()
    for row in rows {
      for copy in 0..<500 { #expect(row[1036 - copy] == row[copy]) }
    }
    // A query is at distance zero from itself, and its row is the same whichever share it is in.
    let distances = try Distances(query: gallery, gallery: gallery, metric: metric)
    distances.forEachRow(of: 700..<703) { index, row in
      #expect(row[index] == 0)
      distances.forEachRow(of: index..<index + 1) { _, again in #expect(Array(again) == Array(row)) }
    }
  }

  @Test func cosineOfAVectorOfZerosIsZero() throws {
    let query = try labelled([0, 0, 3, 4], columns: 2, identities: [1, 1], cameras: [1, 1])
    let gallery = try labelled(
      [0, 0, 4, -3, 6, 8, -3, -4], columns: 2, identities: [1, 1, 1, 1], cameras: [2, 2, 2, 2])
    let rows = try Distances(query: query, gallery: gallery, metric: .cosine).matrix()
    #expect(rows == [[1, 1, 1, 1], [1, 1, 0, 2]])
  }

  @Test func unsuitableFeaturesAreNamed() throws {
    let good = try labelled([1, 2], columns: 2, identities: [1], cameras: [1], name: "good.npy")
    let narrow = try labelled([1], columns: 1, identities: [1], cameras: [1], name: "narrow.npy")
    let broken = try labelled([1, 2, 3, .nan], columns: 2, identities: [1, 2], cameras: [1, 1], name: "broken.npy")
    let empty = try labelled([], columns: 2, identities: [], cameras: [], name: "empty.npy")
    let parameters = try ReRanking.Settings()
    func message(_ query: LabelledFeatures, _ gallery: LabelledFeatures, _ reRanking: ReRanking.Settings?) -> String {
      let failure = #expect(throws: Failure.self) {
        try Ranking.score(query: query, gallery: gallery, metric: .euclidean, reRanking: reRanking)
      }
      #expect(failure?.kind == .data)
      return failure?.message ?? ""
    }
    for reRanking in [nil, parameters] {
      #expect(message(good, narrow, reRanking) == "good.npy: vectors of 2 elements, but those of narrow.npy have 1")
      #expect(message(good, broken, reRanking) == "broken.npy: row 1 (counted from 0) holds an infinity or a NaN")
      #expect(message(empty, good, reRanking) == "empty.npy: holds no features")
    }
  }
}
