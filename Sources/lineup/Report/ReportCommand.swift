import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Pictures
import Report
import Storage
import Tensors
import Training

/// One page of what runs did and came to.
struct ReportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write one HTML file of runs: settings, curves, figures, and with --data what they see.",
    discussion:
      "The file needs no network and no script. Runs of the same settings but for the seed are one column, with mean and standard deviation. "
      + "With --data the best checkpoint of each such group's first run (the latest, where none is the best) is evaluated again, "
      + "for CMC curves and cameras; of the first group also rankings, the hardest pairs and activation maps are shown."
  )

  @OptionGroup var told: RunArguments
  @Option(name: .long, help: "FILE.html, the page to write.") var output: String
  @Option(name: .customLong("data"), help: "A data set to evaluate on again, with its images.") var sets: [String] = []
  @Option(name: .long, help: "Queries whose rankings are shown, as many of those of lowest AP.") var queries = 5
  @Option(name: .long, help: "Images of a ranking.") var top = 7
  @Option(name: .long, help: "The page's title.") var title: String?
  @Flag(name: .long, help: "Every run is a column, those that differ in their seed too.") var separate = false
  @OptionGroup var options: ConfigurationOptions

  private var runs: [String] { told.runs }
  private var data: String? { sets.first }

  func validate() throws {
    guard (1...50).contains(queries) else { throw ValidationError("--queries must be from 1 to 50") }
    guard (1...50).contains(top) else { throw ValidationError("--top must be from 1 to 50") }
    if data == "" { throw ValidationError("--data: the path of a data set is missing") }
    if sets.count > 1 { throw ValidationError("--data: a report evaluates on one data set") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = Destination("--output", output)
    try communicator.onRank0 {
      guard [".html", ".htm"].contains(where: output.lowercased().hasSuffix) else {
        throw Failure.usage("--output \(Printable.line(output))", "a report is written to a file named *.html")
      }
      try destination.requireFile(besides: runs.map { "\($0)/metrics.jsonl" } + [data, options.config])
    }
    let groups = try communicator.agree {
      let histories = try runs.map { run in
        defer { watchdog?.beat() }
        return try RunHistory(run: run)
      }
      return try SeedGroups.groups(histories, separate: separate)
    }
    var judged = JudgedRuns()
    if let data {
      for group in groups { try judge(group, on: data, destination, &judged, communicator, watchdog) }
    }
    try communicator.onRank0 {
      let facts = try groups.map { try RunFacts($0.runs[0]) }
      try AtomicFiles.write(try page(groups, facts, judged).text, to: output)
      print("\(output): \(runs.count) \(runs.count == 1 ? "run" : "runs")")
    }
  }

  private func judge(
    _ group: RunGroup, on data: String, _ destination: Destination, _ judged: inout JudgedRuns,
    _ communicator: any Communicator, _ watchdog: Watchdog?
  ) throws {
    // The run itself stands for its latest checkpoint.
    let run = group.runs[0].path, checkpoints = RunFolder(path: run).checkpoints
    let path = checkpoints.best.map { "\(checkpoints.path)/\($0)" } ?? run
    let (job, dataset) = try CheckpointedJob.begin(path, options, communicator, watchdog) {
      configuration, _, agreement in
      try DataOptions.openTest(data, configuration, &agreement, watchdog, besides: [destination])
    }
    let choice = JudgedRuns.Choice(queries: queries, top: top)
    func add<E: Element>(_ element: E.Type) throws { try judged.add(group.name, job, dataset, choice, element) }
    try add(job.configuration.precision.storage.element)
  }

  private func page(_ groups: [RunGroup], _ facts: [RunFacts], _ judged: JudgedRuns) throws -> ReportPage {
    let tables = RunTables(groups), curves = RunCurves(groups, over: .step)
    var sections = [ReportPage.Section("summary", "Summary", (groups.count == 1 ? tables.tiles : "") + tables.summary)]
    func add(_ id: String, _ title: String, _ body: String) {
      if !body.isEmpty { sections.append(ReportPage.Section(id, title, body)) }
    }
    add("curves", "Curves", HTML.paragraph(curves.remark, class: "muted") + (try ReportPlots.grid(curves.plots)))
    add("terms", "Terms of the loss", try ReportPlots.grid(ReportPlots.terms(curves)))
    add("figures", "Figures", tables.metrics)
    if !judged.runs.isEmpty {
      let cmc = ReportPlots.cmc(judged.runs.map { ($0.name, $0.scores.plain.cmc) })
      let names = judged.runs.map { "\($0.name): \(ShownName.checkpoint($0.checkpoint))" }.joined(separator: "; ")
      add(
        "cmc", "CMC",
        HTML.paragraph("By \(judged.runs[0].scores.metric) distance. \(names).", class: "muted")
          + (try ReportPlots.grid([cmc])))
      let first = judged.runs[0]
      let seen = HTML.paragraph(
        "What \(first.name) sees, by \(ShownName.checkpoint(first.checkpoint)).", class: "muted")
      add("rankings", "Rankings", seen + key + judged.rankings)
      add("pairs", "Hardest pairs", seen + judged.pairs)
      add(
        "activations", "Activations",
        judged.activations.isEmpty
          ? ""
          : seen
            + HTML.paragraph(
              "Sums of absolute values over the channels of each map, from its smallest to its largest: where a network responds, not how strongly.",
              class: "muted") + judged.activations)
      add("cameras", "Cameras", judged.cameras)
    }
    add("regularizers", "Regularizers", try ReportPlots.grid(ReportPlots.regularizers(curves)))
    add(
      "time", "Time",
      (try ReportPlots.grid([curves.plot("Images per second", "imagesPerSecond", isNoisy: true)])) + tables.shares)
    add("settings", "Settings and machine", try SettingsTables(groups, facts).text())
    let names = groups.map(\.name)
    let day = DateFormatter()
    day.dateFormat = "yyyy-MM-dd HH:mm 'UTC'"
    (day.timeZone, day.locale) = (TimeZone(identifier: "UTC"), Locale(identifier: "en_US_POSIX"))
    let title =
      title ?? (names.count == 1 ? names[0] : names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : ""))
    return ReportPage(
      title,
      introduction: HTML.paragraph(
        "\(runs.count) \(runs.count == 1 ? "run" : "runs") of Lineup\(data.map { ", evaluated on \(ShownName.last($0))" } ?? "").",
        class: "muted"),
      sections,
      footer: "Written by Lineup \(Version.current) on \(day.string(from: Date()))."
        + (data == nil
          ? " With --data DATA the report also shows CMC curves, rankings, pairs, activation maps and cameras." : ""))
  }

  /// What frames mean.
  private var key: String {
    HTML.paragraph(
      "The first image is the query. ✓ and a solid frame: its identity; ✗ and a dashed frame: another one.",
      class: "muted")
  }
}
