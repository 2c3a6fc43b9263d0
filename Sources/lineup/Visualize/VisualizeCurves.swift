import ArgumentParser
import Collectives
import Foundation
import Pictures
import Storage
import Tensors
import Training

/// How runs went, over one another.
struct VisualizeCurves: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "curves", abstract: "Draw loss, learning rate, mAP and rank-1 of runs over one another.",
    discussion:
      "Runs of the same settings but for the seed are one curve, their mean, with the standard deviation as a band around it. A job "
      + "that is still writing may be looked at.")

  @OptionGroup var told: RunArguments
  @OptionGroup var picture: PictureOptions
  @Option(name: .long, help: "step or epoch.") var over = RunHistory.Axis.step
  @Flag(name: .long, help: "Draw every run by itself, those that differ in their seed too.") var separate = false

  private var runs: [String] { told.runs }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      try picture.require(besides: runs.map { "\($0)/metrics.jsonl" })
      let histories = try runs.map { run in
        defer { watchdog?.beat() }
        return try RunHistory(run: run)
      }
      let groups = try SeedGroups.groups(histories, separate: separate)
      let title = groups.count == 1 ? "Training of \(groups[0].name)" : "Training of \(runs.count) runs"
      try picture.write(RunCurves(groups, over: over).drawing(title: title))
      for group in groups where group.runs.count > 1 {
        print("\(group.name): \(group.runs.map { ShownName.last($0.path) }.joined(separator: ", "))")
      }
      print("\(picture.output): \(runs.count) \(runs.count == 1 ? "run" : "runs")")
    }
  }
}

extension RunHistory.Axis: ExpressibleByArgument {}
