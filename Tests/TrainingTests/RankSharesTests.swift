import Collectives
import Evaluation
import Tensors
import Testing
import Training

@Suite struct RankSharesTests {
  /// Features about a centre for each of 24 identities.
  private static func features(_ name: String, rows: Int, position: Int) throws -> LabelledFeatures {
    var random = CounterRandom(seed: 3, epoch: 0, position: position, purpose: .synthesis)
    let identities = (0..<rows).map { _ in random.integer(below: 24) }
    var values: [Float] = []
    for identity in identities {
      for column in 0..<7 {
        let centre = (identity + 3) * (column + 2) % 11
        values.append(Float(centre) / 4 + Float(random.uniform()))
      }
    }
    return try LabelledFeatures(
      name: name, matrix: FeatureMatrix(rows: rows, columns: 7, values: values), paths: identities.map { "\($0)" },
      identities: identities, cameras: identities.indices.map { $0 % 3 })
  }

  private static func reRanked(_ shares: some RowShares, k2: Int) throws -> [UInt64] {
    let distances = try ReRanking(
      query: features("query", rows: 130, position: 1), gallery: features("gallery", rows: 700, position: 2),
      metric: .cosine, parameters: .init(k2: k2), shares: shares)
    var bits: [UInt64] = []
    distances.forEachRow(of: 0..<130) { _, row in bits += row.map(\.bitPattern) }
    return bits
  }

  /// Also on more ranks than there are blocks of rows.
  @Test(arguments: [2, 3, 20], [1, 6]) func reRankingHasTheBitsOfOneRank(ranks: Int, k2: Int) throws {
    let whole = try Self.reRanked(WholeShare(), k2: k2)
    #expect(Set(whole).count > 1000)
    for bits in try ThreadCommunicator.run(ranks, { try Self.reRanked(RankShares(communicator: $0), k2: k2) }) {
      #expect(bits == whole)
    }
  }
}
