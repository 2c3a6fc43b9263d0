import Evaluation
import Foundation
import Storage

/// The `--json` file of `evaluate` and `score`.
enum MetricsFile {
  private struct Content: Encodable {
    let mAP: Double, mAPTrapezoid: Double, mINP: Double, rank1: Double, rank5: Double, rank10: Double, rank20: Double
    let cmc: [Double], queries: Int, leftOut: Int
    /// `evaluate`: images that could not be decoded.
    let damagedQueries: Int?, damagedGallery: Int?
    /// `evaluate` with evaluation.rerank: the same after re-ranking.
    let reRanked: RankingResult?
    /// `score --rerank`: the same before re-ranking.
    let plain: RankingResult?
    /// By each metric, and what else was asked for.
    let euclidean: RankingResult?, cosine: RankingResult?
    let singleShot: RankingResult?, multiQuery: RankingResult?, expanded: RankingResult?
    let verification: VerificationRates?, cameraPairs: [CameraPair]?
  }

  /// - Parameter result: the figures that stand at the top.
  static func write(
    _ scores: Scores, _ result: RankingResult, reRanked: RankingResult? = nil, plain: RankingResult? = nil,
    damaged: (queries: Int, gallery: Int)? = nil, to path: String
  ) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    let content = Content(
      mAP: result.mAP, mAPTrapezoid: result.mAPTrapezoid, mINP: result.mINP, rank1: result.rank1, rank5: result.rank5,
      rank10: result.rank10, rank20: result.rank20, cmc: result.cmc, queries: result.queries, leftOut: result.leftOut,
      damagedQueries: damaged?.queries, damagedGallery: damaged?.gallery, reRanked: reRanked, plain: plain,
      euclidean: scores[.euclidean], cosine: scores[.cosine], singleShot: scores[.singleShot],
      multiQuery: scores[.multiQuery], expanded: scores[.expanded], verification: scores.verification,
      cameraPairs: scores.cameraPairs)
    try AtomicFiles.write(String(decoding: try encoder.encode(content), as: UTF8.self) + "\n", to: path)
  }
}
