import Foundation
import Pictures

/// What runs came to, group by group: means and deviations over seeds.
package struct RunTables {
  package let groups: [RunGroup]

  package init(_ groups: [RunGroup]) { self.groups = groups }

  /// Of the last evaluation of each run, those that have the field.
  private func finals(_ group: RunGroup, _ field: String) -> [Double] {
    group.runs.compactMap { $0.evaluations.values(field).last?.value }
  }

  /// `71.9` or `71.9 ± 0.8`.
  package static func percent(_ values: [Double]) -> String {
    number(values.map { 100 * $0 }, "%.1f")
  }

  private static func number(_ values: [Double], _ format: String) -> String {
    guard let spread = Spread(values) else { return "–" }
    return String(format: format, spread.mean) + (spread.deviation.map { " ± " + String(format: format, $0) } ?? "")
  }

  static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    if whole < 90 { return "\(whole) s" }
    return whole < 5400 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[values.count / 2]
  }

  /// Seconds of a run's steps and evaluations.
  private static func seconds(_ run: RunHistory) -> Double {
    (run.steps.values("seconds") + run.evaluations.values("seconds")).reduce(0) { $0 + $1.value }
  }

  /// What a run did: a row a group.
  package var summary: String {
    let rows = groups.map { group in
      (
        name: group.name,
        cells: [
          "\(group.runs.count)",
          Self.number(group.runs.compactMap { $0.steps.steps.last.map(Double.init) }, "%.0f"),
          Self.percent(finals(group, "mAP")), Self.percent(finals(group, "rank1")),
          Self.percent(group.runs.compactMap { $0.evaluations.values("mAP").map(\.value).max() }),
          Self.number(group.runs.compactMap { Self.median($0.steps.values("imagesPerSecond").map(\.value)) }, "%.1f"),
          Spread(group.runs.map(Self.seconds)).map { Self.duration($0.mean) } ?? "–",
        ]
      )
    }
    let hasSeeds = groups.contains { $0.runs.count > 1 }
    return HTML.table(
      "Last evaluation of each run, in %" + (hasSeeds ? "; mean ± standard deviation over seeds" : "")
        + ". Images/s are medians of the steps, time is that of steps and evaluations.",
      header: ["run", "seeds", "steps", "mAP", "Rank-1", "best mAP", "images/s", "time"], rows: rows)
  }

  /// Tiles of the first group's figures.
  package var tiles: String {
    guard let group = groups.first else { return "" }
    func tile(_ name: String, _ value: String, _ note: String) -> String {
      let inner = Markup.escaped(value) + HTML.element("span", [("class", "note")], Markup.escaped(note))
      return HTML.element(
        "div", [("class", "tile")], HTML.element("dt", [], Markup.escaped(name)) + HTML.element("dd", [], inner))
    }
    let steps = group.runs.compactMap { $0.steps.steps.last }.max() ?? 0
    let seeds = group.runs.count > 1 ? "mean of \(group.runs.count) seeds" : "last evaluation"
    var tiles: [String] = []
    for (name, field) in [("mAP", "mAP"), ("Rank-1", "rank1"), ("mINP", "mINP")] where !finals(group, field).isEmpty {
      tiles.append(tile(name, Self.percent(finals(group, field)) + " %", seeds))
    }
    if let rate = Self.median(group.runs.flatMap { $0.steps.values("imagesPerSecond").map(\.value) }) {
      tiles.append(tile("images per second", String(format: "%.1f", rate), "median of the steps"))
    }
    let time = group.runs.map(Self.seconds).max() ?? 0
    tiles.append(tile("steps", "\(steps)", "\(Self.duration(time)) of steps and evaluations"))
    return HTML.element("dl", [("class", "tiles")], tiles.joined()) + "\n"
  }

  /// Every figure of the last evaluations, a row a figure.
  package var metrics: String {
    let known = [
      ("mAP", "mAP"), ("rank1", "Rank-1"), ("rank5", "Rank-5"), ("rank10", "Rank-10"), ("rank20", "Rank-20"),
      ("mINP", "mINP"), ("mAPTrapezoid", "mAP by trapezoids"), ("euclideanMAP", "mAP, Euclidean"),
      ("euclideanRank1", "Rank-1, Euclidean"), ("cosineMAP", "mAP, cosine"), ("cosineRank1", "Rank-1, cosine"),
      ("reRankedMAP", "mAP, re-ranked"), ("reRankedRank1", "Rank-1, re-ranked"), ("expandedMAP", "mAP, expanded"),
      ("expandedRank1", "Rank-1, expanded"), ("multiQueryMAP", "mAP, multi-query"),
      ("multiQueryRank1", "Rank-1, multi-query"), ("partsMAP", "mAP, by parts"), ("partsRank1", "Rank-1, by parts"),
      ("singleShotMAP", "mAP, single shot"), ("singleShotRank1", "Rank-1, single shot"),
      ("tprAt1e-4", "TPR at FPR 1e-4"), ("tprAt1e-3", "TPR at FPR 1e-3"), ("tprAt1e-2", "TPR at FPR 1e-2"),
    ]
    let sets = Set(groups.flatMap(\.runs).flatMap(\.testSets)).sorted()
    let rows = sets.flatMap { set in
      known.compactMap { field, name -> (name: String, cells: [String])? in
        let whole = set.isEmpty ? field : "\(set).\(field)", found = groups.map { finals($0, whole) }
        guard found.contains(where: { !$0.isEmpty }) else { return nil }
        return (name: (set.isEmpty ? "" : "\(set): ") + name, cells: found.map(Self.percent))
      }
    }
    guard !rows.isEmpty else { return HTML.paragraph("No evaluation in these runs.", class: "muted") }
    return HTML.table("Last evaluations, in %", header: ["figure"] + groups.map(\.name), rows: rows)
  }

  /// Shares of a step's time, means over all steps but the first tenth.
  package var shares: String {
    let fields = [
      ("convolutionShare", "convolutions"), ("collectiveShare", "collectives"),
      ("reductionShare", "gradients still to be summed"),
      ("loadingShare", "waiting for images"), ("packingShare", "packing weights"), ("optimizerShare", "optimizer"),
    ]
    func mean(_ group: RunGroup, _ field: String) -> Double? {
      let values = group.runs.flatMap { run in
        let all = run.steps.values(field).map(\.value)
        return all.dropFirst(all.count / 10)
      }
      return Spread(Array(values))?.mean
    }
    func cell(_ share: Double?) -> String {
      guard let share else { return "–" }
      // The same length for the same share, however wide the column.
      let width = String(format: "%.2f", 6 * min(max(share, 0), 1))
      return String(format: "%.1f %%", 100 * share) + "<span class=\"bar\" style=\"width:\(width)rem\"></span>"
    }
    var rows = fields.map { field, name in (name: name, cells: groups.map { cell(mean($0, field)) }) }
    rows.append(
      (
        name: "the rest",
        cells: groups.map { group in
          let known = fields.compactMap { mean(group, $0.0) }
          return cell(known.isEmpty ? nil : max(0, 1 - known.reduce(0, +)))
        }
      ))
    return HTML.table(
      "Shares of a step on rank 0, means without the first tenth of the steps", header: ["part"] + groups.map(\.name),
      rows: rows)
  }
}
