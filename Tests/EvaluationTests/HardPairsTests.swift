import Evaluation
import Tensors
import Testing

/// The pairs that a network confuses, beside all pairs sorted.
@Suite struct HardPairsTests {
  @Test func areTheExtremesOfAllPairs() throws {
    var random = CounterRandom(seed: 3, purpose: .probing)
    func features(_ name: String, _ rows: Int, junk: Bool) throws -> LabelledFeatures {
      let identities = (0..<rows).map { junk && $0 == 4 ? -1 : $0 % 5 }, cameras = (0..<rows).map { $0 % 3 }
      return try LabelledFeatures(
        name: name,
        matrix: FeatureMatrix(rows: rows, columns: 3, values: (0..<rows * 3).map { _ in Float(random.normal()) }),
        paths: (0..<rows).map { "\($0)" }, identities: identities, cameras: cameras)
    }
    let query = try features("q", 11, junk: false), gallery = try features("g", 40, junk: true)
    let distances = try Distances(query: query, gallery: gallery, metric: .euclidean)
    var alike: [(Double, Int, Int)] = [], unlike = alike
    for q in 0..<11 {
      var own: [(Double, Int, Int)] = [], other = own
      for g in 0..<40 where gallery.identities[g] >= 0 {
        let distance = (0..<3).reduce(0.0) {
          let d = Double(query.matrix.values[q * 3 + $1]) - Double(gallery.matrix.values[g * 3 + $1])
          return $0 + d * d
        }
        if gallery.identities[g] != query.identities[q] {
          other.append((distance, q, g))
        } else if gallery.cameras[g] != query.cameras[q] {
          own.append((distance, q, g))
        }
      }
      if let nearest = other.min(by: { $0.0 < $1.0 }) { alike.append(nearest) }
      if let farthest = own.max(by: { $0.0 < $1.0 }) { unlike.append(farthest) }
    }
    let found = Ranking.hardPairs(4, query: query, gallery: gallery, distances: distances)
    for (pairs, expected) in [
      (found.alike, alike.sorted { $0.0 < $1.0 }), (found.unlike, unlike.sorted { $0.0 > $1.0 }),
    ] {
      #expect(
        pairs.map(\.query) == expected.prefix(4).map { $0.1 } && pairs.map(\.gallery) == expected.prefix(4).map { $0.2 }
      )
      for (pair, one) in zip(pairs, expected) { #expect(abs(pair.distance - one.0) < 1e-9) }
    }
  }
}
