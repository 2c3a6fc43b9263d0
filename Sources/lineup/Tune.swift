import ArgumentParser
import Collectives
import Dataset
import Foundation
import Storage
import Tensors
import Training

/// Trains in stages, each of which looks for the settings that take the network furthest.
struct Tune: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train in stages of trials, settings by Bayesian optimization (PLA); under mpirun, on all ranks.",
    discussion:
      "Every trial is a run of `train` from the best state of the stage before, judged on training identities held out. "
      + "Started again with the same options, a search goes on where it was. Asked to stop, it checkpoints and exits "
      + "with 75.")

  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp(
      "The data set's folder or CSV file, whose training images are used; or several.", valueName: "path"))
  var data: [String]
  @Option(name: .long, help: "The search's folder: trials.jsonl, and a run's folder for every trial.") var output:
    String
  @Option(name: .long, help: "A YAML file: stages, trials, steps and the keys that are varied.") var space: String
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    try DataOptions.check("--data", data)
    if output.isEmpty { throw ValidationError("--output: is empty") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let configuration = try options.agreed(communicator) { try options.resolve() }
    let folder = try communicator.agree { communicator.isCoordinator ? try open(configuration) : nil }
    while let task = try next(folder, configuration, communicator) {
      let start = Date()
      var isDiverged = false
      do {
        try Train.parse(task.arguments).run(communicator, watchdog, toGoOn: "the same search again")
      } catch let failure as AgreedFailure where failure.kind == .diverged {
        if let failure = failure.failure { Console.say(failure.message) }
        isDiverged = true
      }
      try communicator.onRank0 {
        guard let folder else { return }
        try folder.requireLock()
        let trial = task.trial, run = "\(output)/\(trial.folder)"
        let mAP = isDiverged ? nil : try ProgressiveSearch.mAP(of: run, after: trial.steps)
        let ended = SearchTrial(stage: trial.stage, number: trial.number, values: trial.values, mAP: mAP)
        try folder.trials.append(ended, seconds: Date().timeIntervalSince(start))
        Console.say("\(Self.name(trial)): \(mAP.map { String(format: "mAP %.1f%%", 100 * $0) } ?? "diverged")")
      }
    }
    try communicator.onRank0 { if let folder { try report(folder) } }
  }

  /// Looks at everything before the first trial.
  private func open(_ configuration: Configuration) throws -> SearchFolder {
    let destination = Destination("--output", output)
    try destination.requireFolder()
    try destination.requireNoRun()
    try SearchFolder.requireOwn(output)
    let space = try SearchSpace.read(self.space)
    if let idle = space.keys.keys.sorted().first(where: { $0.hasPrefix("losses.") }), !configuration.model.heads.isEmpty
    {
      throw Failure.usage(self.space, "keys.\(idle): the losses are those of model.heads, which it does not change")
    }
    for settings in ProgressiveSearch(space, seed: 0).ends(configuration) {
      do {
        _ = try Configuration.resolve(settings: settings, base: configuration)
      } catch let failure as Failure {
        throw Failure.usage(self.space, failure.message)
      }
    }
    let sets = try data.map { try ReIDDataset.open(at: $0, configuration.data.reading) }
    for dataset in sets { try dataset.require(.train) }
    return try SearchFolder(output, space, configuration, data: data, RunData(sets).train) { Console.say($0) }
  }

  /// A trial, and the command line of `train` that makes it.
  private struct Task: Codable {
    let trial: ProgressiveSearch.Plan, arguments: [String]
  }

  /// Rank 0's next trial on every rank; nil at the end.
  private func next(_ folder: SearchFolder?, _ configuration: Configuration, _ communicator: any Communicator) throws
    -> Task?
  {
    let own = try communicator.agree {
      try folder.flatMap { folder in
        try folder.search.next(after: folder.trials.trials).map { plan in
          let settings = folder.search.settings(plan.values, steps: plan.steps, configuration)
          Console.say("\(Self.name(plan)): \(settings.joined(separator: " "))")
          return Task(trial: plan, arguments: arguments(plan, settings, isBegun: folder.isBegun(plan)))
        }
      }
    }
    let bytes = try communicator.broadcast(own.map { [UInt8](try JSONEncoder().encode($0)) } ?? [])
    return bytes.isEmpty ? nil : try JSONDecoder().decode(Task.self, from: Data(bytes))
  }

  private func arguments(_ plan: ProgressiveSearch.Plan, _ settings: [String], isBegun: Bool) -> [String] {
    var arguments = ["--data", SearchFolder.dataPath(output), "--output", "\(output)/\(plan.folder)"]
    if let config = options.config { arguments += ["--config", config] }
    for setting in options.set + settings { arguments += ["--set", setting] }
    if isBegun {
      arguments.append("--resume")
    } else if let parent = plan.parent {
      arguments += ["--resume-from", "\(output)/\(parent)"]
    }
    return arguments
  }

  private static func name(_ plan: ProgressiveSearch.Plan) -> String { "stage \(plan.stage), trial \(plan.number)" }

  /// A line a stage, and where the end is.
  private func report(_ folder: SearchFolder) throws {
    let search = folder.search, trials = folder.trials.trials
    Console.say("stage  trial     mAP  settings")
    for stage in 1...search.space.stages {
      let best = try search.best(of: stage, trials)
      let values = search.dimensions.compactMap { dimension in best.values[dimension.key].map(dimension.setting) }
      Console.say(
        String(format: "%5d  %5d  %5.1f%%  ", stage, best.number, 100 * (best.mAP ?? 0)) + values.joined(separator: " ")
      )
    }
    let last = try search.best(of: search.space.stages, trials)
    Console.say("checkpoint   \(output)/\(last.folder)")
  }
}
