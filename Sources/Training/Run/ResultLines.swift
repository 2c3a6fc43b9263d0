import Evaluation
import Foundation
import Storage

extension RunLog {
  /// - Parameter name: of the data set, where there are several.
  package func result(_ scores: Scores, of name: String? = nil, as style: ResultStyle = .torchreid) {
    for line in scores.lines(of: name, as: style) { info(line) }
  }

  /// What re-ranking takes, before it starts.
  package func announce(_ estimate: ReRankingEstimate) {
    info(
      String(
        format: "re-ranking %d images: at most %@ a rank, about %.0f s", estimate.images,
        MemoryAccount.format(estimate.bytes), estimate.seconds))
  }
}

/// `log.results`: the tool whose result lines a run's block of results has, for scripts that read them.
package enum ResultStyle: String, Choice {
  /// `mAP: 81.9%`, `Rank-1  : 92.3%` (`parse_test_res.py`).
  case torchreid
  /// `mAP: 81.9%`, `CMC curve, Rank-1  :92.3%`.
  case transreid
  /// A row `| Dataset | Rank-1 | Rank-5 | Rank-10 | mAP | mINP | metric |`, metric being the mean of mAP and rank-1.
  case fastreid

  package var meaning: String {
    switch self {
    case .torchreid: "`Rank-1  : 92.3%`"
    case .transreid: "`CMC curve, Rank-1  :92.3%`"
    case .fastreid: "a table with the columns `Dataset`, `Rank-1`, `Rank-5`, `Rank-10`, `mAP`, `mINP`, `metric`"
    }
  }
}

extension RankingResult {
  fileprivate var ranks: [(rank: Int, value: Double)] { [(1, rank1), (5, rank5), (10, rank10), (20, rank20)] }

  /// A line of headings and one for each result, in %.
  package static func table(_ rows: [(name: String, result: RankingResult)]) -> [String] {
    let width = 2 + (rows.map(\.name.count).max() ?? 0)
    let heading =
      String(repeating: " ", count: width) + "    mAP  Rank-1  Rank-5 Rank-10 Rank-20    mINP  mAP by trapezoids, in %"
    return [heading]
      + rows.map { name, result in
        let values = [result.mAP] + result.ranks.map(\.value) + [result.mINP]
        return name.padding(toLength: width, withPad: " ", startingAt: 0)
          + values.map { String(format: "%7.1f", 100 * $0) }.joined(separator: " ")
          + String(format: "%19.1f", 100 * result.mAPTrapezoid)
      }
  }
}

extension Scores {
  /// The lines of a result: a block that scripts of the field read, by the metric that was asked for, and a table of all
  /// rankings. The block is there once, and no other line looks like its lines.
  /// - Parameter name: of the data set, where there are several.
  package func lines(of name: String? = nil, as style: ResultStyle = .torchreid) -> [String] {
    var lines = ["** Results\(name.map { " of \($0)" } ?? "") **"] + block(name, style)
    lines += RankingResult.table(rows.map { (Self.name($0.row, metric), $0.result) })
    return lines + (verification.map(Self.lines) ?? []) + (cameraPairs.map(Self.lines) ?? [])
  }

  private func block(_ name: String?, _ style: ResultStyle) -> [String] {
    func padded(_ rank: Int) -> String { "\(rank)".padding(toLength: 3, withPad: " ", startingAt: 0) }
    let mean = "mAP: \(Self.percent(plain.mAP))"
    switch style {
    case .torchreid: return [mean] + plain.ranks.map { "Rank-\(padded($0.rank)): \(Self.percent($0.value))" }
    case .transreid:
      return [mean]
        + plain.ranks.dropLast().map { "CMC curve, Rank-\(padded($0.rank)):\(Self.percent($0.value))" }
    case .fastreid:
      let values = [plain.rank1, plain.rank5, plain.rank10, plain.mAP, plain.mINP, (plain.rank1 + plain.mAP) / 2]
      let row = [name ?? "test"] + values.map { String(format: "%.2f", 100 * $0) }
      return [
        "| Dataset | Rank-1 | Rank-5 | Rank-10 | mAP | mINP | metric |", "|:---|:---|:---|:---|:---|:---|:---|",
        "| \(row.joined(separator: " | ")) |",
      ]
    }
  }

  private static func lines(_ rates: VerificationRates) -> [String] {
    [
      "pairs of one person that pass (of \(rates.samePairs)) where so many others do (of \(rates.differentPairs)), in %"
    ]
      + zip(VerificationRates.falsePositiveRates, rates.truePositiveRates).map {
        String(format: "TPR@FPR=%.0e %7.1f", $0, 100 * $1)
      }
  }

  private static func lines(_ pairs: [CameraPair]) -> [String] {
    ["query camera  gallery camera  queries     mAP  Rank-1, in %"]
      + pairs.map {
        String(
          format: "%12d  %14d  %7d %7.1f %7.1f", $0.queryCamera, $0.galleryCamera, $0.queries, 100 * $0.mAP,
          100 * $0.rank1)
      }
  }

  private static func percent(_ value: Double) -> String { String(format: "%.1f%%", 100 * value) }

  private static func name(_ row: Scores.Row, _ metric: DistanceMetric) -> String {
    switch row {
    case .euclidean, .cosine: row.rawValue
    case .singleShot: "\(metric), single gallery shot"
    case .multiQuery: "\(metric), multi-query"
    case .expanded: "\(metric), expanded"
    case .masked: "\(metric), masked bits"
    case .parts: "\(metric), by parts"
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
