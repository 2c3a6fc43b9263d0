import Evaluation
import Testing

/// Numbers computed by NumPy in float64 from the features that `generatedFeatures` makes: distances by
/// `scipy.spatial.distance.cdist`, stable sorting of whole rows, and the published dense re-ranking code.
@Suite struct GoldenScoreTests {
  struct Golden: Sendable, CustomTestStringConvertible {
    let metric: DistanceMetric
    let reRanking: (k1: Int, k2: Int, lambda: Double)?
    let mAP, mAPTrapezoid, mINP: Double
    /// Of the 22 queries with a match, those with one among the first 1, 2, …
    let matched: [Int]

    var testDescription: String { "\(metric) \(reRanking.map { "re-ranked \($0)" } ?? "")" }
  }

  static let cases = [
    Golden(
      metric: .euclidean, reRanking: nil, mAP: 0.29539247446550343, mAPTrapezoid: 0.25461559893837465,
      mINP: 0.1495052712271179, matched: [7, 15, 17, 19, 19, 20, 20, 20, 20, 20, 20, 20, 20, 20]),
    Golden(
      metric: .euclidean, reRanking: (20, 6, 0.3), mAP: 0.3043892473898077, mAPTrapezoid: 0.26509218502589643,
      mINP: 0.18055818702517207, matched: [5, 10, 14, 17, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19]),
    Golden(
      metric: .euclidean, reRanking: (5, 2, 0.5), mAP: 0.29461648635829724, mAPTrapezoid: 0.25777628643115585,
      mINP: 0.1486906014707017, matched: [6, 10, 14, 18, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]),
    Golden(
      metric: .cosine, reRanking: nil, mAP: 0.2869071454736788, mAPTrapezoid: 0.24499388874755806,
      mINP: 0.14973390108730483, matched: [5, 12, 15, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 20]),
    Golden(
      metric: .cosine, reRanking: (20, 6, 0.3), mAP: 0.3077085917025237, mAPTrapezoid: 0.2696286824710578,
      mINP: 0.18786736470129578, matched: [5, 9, 14, 15, 17, 17, 19, 19, 19, 19, 19, 19, 20, 20]),
    Golden(
      metric: .cosine, reRanking: (5, 2, 0.5), mAP: 0.29433093313055597, mAPTrapezoid: 0.2576781126331698,
      mINP: 0.16427744577790834, matched: [7, 11, 16, 17, 18, 18, 19, 19, 20, 20, 20, 20, 20, 20]),
  ]

  @Test(arguments: cases)
  func agreesWithNumPy(golden: Golden) throws {
    let query = try generatedFeatures(seed: 11, rows: 24, columns: 7, identities: 12)
    let gallery = try generatedFeatures(seed: 12, rows: 130, columns: 7, identities: 11, copies: 12)
    let result = try Ranking.score(
      query: query, gallery: gallery, metric: golden.metric,
      reRanking: golden.reRanking.map { try ReRanking.Settings(k1: $0.k1, k2: $0.k2, lambda: $0.lambda) })
    #expect((result.queries, result.leftOut) == (22, 2))
    #expect(abs(result.mAP - golden.mAP) < 1e-12)
    #expect(abs(result.mAPTrapezoid - golden.mAPTrapezoid) < 1e-12)
    #expect(abs(result.mINP - golden.mINP) < 1e-12)
    for (rank, count) in golden.matched.enumerated() {
      #expect(abs(result.cmc[rank] - Double(count) / 22) < 1e-12, "rank \(rank + 1)")
    }
    #expect((result.rank1, result.rank5, result.rank10) == (result.cmc[0], result.cmc[4], result.cmc[9]))
  }
}
