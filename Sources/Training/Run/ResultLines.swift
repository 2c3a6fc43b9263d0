import Evaluation
import Foundation
import Storage

extension RunLog {
  /// The lines of a result: a block that scripts of the field read (torchreid's `parse_test_res.py` looks for `mAP: 81.9%`
  /// and `Rank-1  : 92.3%`), of the metric that was asked for, and a table of all rankings. The block has no other line
  /// with a colon and a percentage, and is printed once.
  /// - Parameter name: of the data set, where there are several.
  package func result(_ scores: Scores, of name: String? = nil) {
    info("** Results\(name.map { " of \($0)" } ?? "") **")
    info("mAP: \(Self.percent(scores.plain.mAP))")
    for (rank, value) in Self.ranks(scores.plain) {
      info("Rank-\("\(rank)".padding(toLength: 3, withPad: " ", startingAt: 0)): \(Self.percent(value))")
    }
    let names = scores.rows.map { Self.name($0.row, scores.metric) }, width = 2 + names.map(\.count).max()!
    let blank = String(repeating: " ", count: width)
    info(blank + "    mAP  Rank-1  Rank-5 Rank-10 Rank-20    mINP   mAP by trapezoids")
    for (name, (_, result)) in zip(names, scores.rows) {
      let values = [result.mAP] + Self.ranks(result).map(\.value) + [result.mINP]
      info(
        name.padding(toLength: width, withPad: " ", startingAt: 0)
          + values.map { String(format: "%7.1f", 100 * $0) }.joined(separator: " ")
          + String(format: "%20.1f", 100 * result.mAPTrapezoid))
    }
    if let rates = scores.verification { report(rates) }
    if let pairs = scores.cameraPairs { report(pairs) }
  }

  /// What re-ranking takes, before it starts.
  package func announce(_ estimate: ReRankingEstimate) {
    info(
      String(
        format: "re-ranking %d images: at most %@ a rank, about %.0f s", estimate.images,
        MemoryAccount.format(estimate.bytes), estimate.seconds))
  }

  private func report(_ rates: VerificationRates) {
    info("pairs of one person that pass, of \(rates.samePairs), where as many of \(rates.differentPairs) others pass:")
    for (limit, rate) in zip(VerificationRates.falsePositiveRates, rates.truePositiveRates) {
      info(String(format: "TPR@FPR=%.0e %7.1f", limit, 100 * rate))
    }
  }

  private func report(_ pairs: [CameraPair]) {
    info("query camera  gallery camera  queries     mAP  Rank-1")
    for pair in pairs {
      info(
        String(
          format: "%12d  %14d  %7d %7.1f %7.1f", pair.queryCamera, pair.galleryCamera, pair.queries, 100 * pair.mAP,
          100 * pair.rank1))
    }
  }

  private static func ranks(_ result: RankingResult) -> [(rank: Int, value: Double)] {
    [(1, result.rank1), (5, result.rank5), (10, result.rank10), (20, result.rank20)]
  }

  private static func percent(_ value: Double) -> String { String(format: "%.1f%%", 100 * value) }

  private static func name(_ row: Scores.Row, _ metric: DistanceMetric) -> String {
    switch row {
    case .euclidean, .cosine: row.rawValue
    case .singleShot: "\(metric), single gallery shot"
    case .multiQuery: "\(metric), multi-query"
    case .expanded: "\(metric), expanded"
    case .reRanked: "\(metric), re-ranked"
    }
  }
}

extension Scores {
  /// The fields of `metrics.jsonl`.
  var fields: [(key: String, value: MetricValue)] {
    var fields: [(key: String, value: MetricValue)] = [
      ("mAP", .number(plain.mAP)), ("rank1", .number(plain.rank1)), ("rank5", .number(plain.rank5)),
      ("rank10", .number(plain.rank10)), ("rank20", .number(plain.rank20)), ("mINP", .number(plain.mINP)),
      ("mAPTrapezoid", .number(plain.mAPTrapezoid)),
    ]
    for (row, result) in rows {
      fields += [("\(row)MAP", .number(result.mAP)), ("\(row)Rank1", .number(result.rank1))]
    }
    if let verification {
      fields += zip(["tprAt1e-4", "tprAt1e-3", "tprAt1e-2"], verification.truePositiveRates).map { ($0, .number($1)) }
    }
    for pair in cameraPairs ?? [] {
      let name = "camera\(pair.queryCamera)To\(pair.galleryCamera)"
      fields += [(name + "MAP", .number(pair.mAP)), (name + "Rank1", .number(pair.rank1))]
    }
    return fields
  }
}
