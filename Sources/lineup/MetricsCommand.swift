import ArgumentParser
import Collectives
import Foundation
import Monitor
import Storage
import Tensors
import Training

/// What a run has measured, for a spreadsheet or pandas.
struct MetricsCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "Write the metrics of a run's steps, or of its evaluations, as CSV.",
    discussion:
      "A column a field of metrics.jsonl (docs/metrics.md), a row a step; empty where a field is not there or was not "
      + "finite. The job may still be running.")

  @Argument(help: "The run's folder.") var run: String
  @Flag(name: .long, help: "The evaluations instead of the steps.") var evaluations = false
  @Option(name: .long, help: ArgumentHelp("The file to write; without it, standard output.", valueName: "file"))
  var csv: String?
  @Option(name: .long, help: ArgumentHelp("Only every so many steps, and the last.", valueName: "steps"))
  var every: Int?

  func validate() throws {
    guard every ?? 1 >= 1 else { throw ValidationError("--every must be 1 or more") }
    if every != nil && evaluations { throw ValidationError("--every is for steps; all evaluations are written") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      let path = RunFolder(path: run).metricsPath
      guard InputFile.size(path) != nil else { throw Failure.data(run, "no run in it (looked for metrics.jsonl)") }
      if let csv { try Destination("--csv", csv).requireFile(besides: [path]) }
      let table = try MetricsTable(path, evaluations ? .evaluations : .steps)
      guard !table.columns.isEmpty else {
        throw Failure.data(path, "has no \(evaluations ? "evaluation" : "step") yet")
      }
      if let csv {
        try AtomicFiles.write(to: csv) { file in try write(table) { try file.write($0) } }
      } else {
        try write(table) { text in
          guard Console.write(text) else { throw Failure.internal("standard output: could not be written") }
        }
      }
    }
  }

  /// In pieces of many rows.
  private func write(_ table: MetricsTable, _ body: (String) throws -> Void) throws {
    var held = ""
    try table.csv(every: every ?? 1) { row in
      held += row
      guard held.utf8.count > 1 << 16 else { return }
      try body(held)
      held = ""
    }
    try body(held)
  }
}
