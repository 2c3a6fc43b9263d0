import Evaluation
import Foundation
import Storage

/// The `--json` file of `evaluate` and `score`.
struct MetricsFile: Encodable {
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
  let masked: RankingResult?, parts: RankingResult?
  let verification: VerificationRates?, cameraPairs: [CameraPair]?

  /// - Parameter result: the figures that stand at the top.
  init(
    _ scores: Scores, _ result: RankingResult, reRanked: RankingResult? = nil, plain: RankingResult? = nil,
    damaged: (queries: Int, gallery: Int)? = nil
  ) {
    (mAP, mAPTrapezoid, mINP) = (result.mAP, result.mAPTrapezoid, result.mINP)
    (rank1, rank5, rank10, rank20) = (result.rank1, result.rank5, result.rank10, result.rank20)
    (cmc, queries, leftOut) = (result.cmc, result.queries, result.leftOut)
    (damagedQueries, damagedGallery) = (damaged?.queries, damaged?.gallery)
    (self.reRanked, self.plain) = (reRanked, plain)
    (euclidean, cosine) = (scores[.euclidean], scores[.cosine])
    (singleShot, multiQuery) = (scores[.singleShot], scores[.multiQuery])
    (expanded, masked, parts) = (scores[.expanded], scores[.masked], scores[.parts])
    (verification, cameraPairs) = (scores.verification, scores.cameraPairs)
  }

  /// Of one data set as it is, of several by their names.
  static func write(_ results: [(name: String, metrics: MetricsFile)], to path: String) throws {
    if results.count == 1 { return try AtomicFiles.write(json: results[0].metrics, to: path) }
    try AtomicFiles.write(json: Dictionary(uniqueKeysWithValues: results), to: path)
  }
}
