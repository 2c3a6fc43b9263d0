import Collectives
import Evaluation
import Foundation
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

  /// Also whole counts, whatever the shares; only the order of sums over queries is another.
  @Test(arguments: [2, 3]) func scoresAreThoseOfOneRank(ranks: Int) throws {
    @Sendable func scores(_ shares: some RowShares) throws -> Scores {
      var options = ScoringOptions()
      (options.multiQuery, options.singleShot, options.verification, options.cameraPairs) = (true, true, true, true)
      options.expansion = AverageExpansion()
      options.reRanking = try .init()
      return try Scoring.scores(
        query: Self.features("query", rows: 130, position: 1),
        gallery: Self.features("gallery", rows: 700, position: 2),
        options, shares: shares)
    }
    let whole = try scores(WholeShare())
    for many in try ThreadCommunicator.run(ranks, { try scores(RankShares(communicator: $0)) }) {
      #expect(many.verification == whole.verification && many.rows.count == 6)
      for (one, other) in zip(many.rows, whole.rows) {
        #expect(one.result.cmc == other.result.cmc && abs(one.result.mAP - other.result.mAP) <= 1e-12, "\(one.row)")
      }
      for (one, other) in zip(many.cameraPairs!, whole.cameraPairs!) {
        #expect(one.rank1 == other.rank1 && abs(one.mAP - other.mAP) <= 1e-12 && one.queries == other.queries)
      }
    }
  }

  /// What torchreid's tools/parse_test_res.py finds in a log, by its expressions, each once.
  @Test func linesOfAResultAreThoseThatScriptsRead() throws {
    var options = ScoringOptions()
    (options.multiQuery, options.singleShot, options.verification, options.cameraPairs) = (true, true, true, true)
    options.reRanking = try .init()
    let scores = try Scoring.scores(
      query: Self.features("query", rows: 130, position: 1), gallery: Self.features("gallery", rows: 700, position: 2),
      options)
    let lines = scores.lines(of: "market1501"), plain = scores.plain
    for (expression, value) in [
      (#"mAP: ([\.\deE+-]+)%"#, plain.mAP), (#"Rank-1  : ([\.\deE+-]+)%"#, plain.rank1),
      (#"Rank-5  : ([\.\deE+-]+)%"#, plain.rank5), (#"Rank-10 : ([\.\deE+-]+)%"#, plain.rank10),
      (#"Rank-20 : ([\.\deE+-]+)%"#, plain.rank20),
    ] {
      let regex = try Regex(expression, as: (Substring, Substring).self)
      let found = lines.compactMap { $0.firstMatch(of: regex)?.output.1 }
      #expect(found.count == 1 && abs(Double(found.first ?? "")! - 100 * value) <= 0.05 + 1e-9, "\(expression)")
    }
    #expect(lines[0] == "** Results of market1501 **" && lines.count == 6 + 1 + 5 + 4 + 1 + scores.cameraPairs!.count)
    let width = lines[6].count - ", in %".count
    for line in lines[7..<12] { #expect(line.count == width && line.split(separator: " ").count >= 8) }
    // As TransReID's logger and fast-reid's table print them.
    let transreid = scores.lines(as: .transreid)
    let first = String(lines[2].split(separator: " ").last!)
    #expect(transreid[1] == lines[1])
    #expect(transreid[2] == "CMC curve, Rank-1  :" + first)
    #expect(transreid.count { $0.contains("CMC curve, Rank-") } == 3)
    let fastreid = scores.lines(of: "market1501", as: .fastreid)
    #expect(fastreid[1] == "| Dataset | Rank-1 | Rank-5 | Rank-10 | mAP | mINP | metric |")
    let cells = fastreid[3].split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
    #expect(cells[0] == "market1501" && cells.count == 7)
    let expected = [plain.rank1, plain.rank5, plain.rank10, plain.mAP, plain.mINP, (plain.mAP + plain.rank1) / 2]
    for (cell, value) in zip(cells.dropFirst(), expected) { #expect(abs(Double(cell)! - 100 * value) <= 0.005 + 1e-9) }
  }
}
