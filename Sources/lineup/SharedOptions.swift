import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Storage
import Tensors
import Training

/// `--config` and `--set`, wherever a configuration is needed.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    name: .customLong("config"),
    help: ArgumentHelp(
      "A YAML file with any part of the configuration, or the name of a recipe (lineup config --recipes).",
      valueName: "file"))
  private var named: String?

  /// The file that `--config` means.
  var config: String? { named.map(Recipes.path) }

  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("One setting, over the file's; dotted keys, e.g. model.width=0.5.", valueName: "key=value"))
  var set: [String] = []

  /// `--set key value` is a usual slip; without this, it is the value that would be complained of as a stray argument.
  func validate() throws {
    do {
      if let named { try Recipes.require(named) }
      for setting in set { _ = try Configuration.Setting(setting) }
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// Over the defaults, or over what a checkpoint was trained with.
  func resolve(_ checkpoint: Checkpoint? = nil) throws -> Configuration {
    try checkpoint?.configuration(file: config, settings: set) ?? Configuration.resolve(file: config, settings: set)
  }

  /// The configuration of rank 0 on every rank. One that was started with other settings, or whose file says something
  /// else, ends the job with the key; a rank that does not have the file takes rank 0's word for it.
  /// - Parameter resolved: this rank's own.
  func agreed(_ communicator: any Communicator, _ resolved: () throws -> Configuration) throws -> Configuration {
    let isThere = config.map { FileManager.default.fileExists(atPath: $0) } ?? true
    let own = try communicator.agree { communicator.isCoordinator || isThere ? try resolved() : nil }
    let bytes = try communicator.broadcast(own.map { [UInt8](try JSONEncoder().encode($0)) } ?? [])
    return try communicator.agree {
      let theirs = try JSONDecoder().decode(Configuration.self, from: Data(bytes))
      if let other = try own?.differences(from: theirs).first {
        throw Failure.usage("\(other.key) is \(other.new) here, \(other.old) on rank 0")
      }
      return theirs
    }
  }
}

/// `--data` of the commands that look at data sets as a whole.
struct DataOptions: ParsableArguments {
  @Option(
    name: .customLong("data"), parsing: .singleValue,
    help: ArgumentHelp("The data set's folder or CSV file; several for each in turn.", valueName: "path"))
  var paths: [String]

  func validate() throws { try Self.check("--data", paths) }

  /// Each of them, with queries and a gallery, alike on all ranks.
  /// - Parameter destinations: where the command is going to write: not over any image.
  func openTests(
    _ configuration: Configuration, _ agreement: inout Agreement, _ watchdog: Watchdog?,
    besides destinations: [Destination]
  ) throws -> [ReIDDataset] {
    try paths.map { try Self.openTest($0, configuration, &agreement, watchdog, besides: destinations) }
  }

  /// One of them.
  static func openTest(
    _ path: String, _ configuration: Configuration, _ agreement: inout Agreement, _ watchdog: Watchdog?,
    besides destinations: [Destination]
  ) throws -> ReIDDataset {
    let dataset = try ReIDDataset.open(at: path, configuration.data.reading)
    for destination in destinations { try destination.require(besides: dataset) }
    try dataset.require(.query, .gallery)
    try configuration.data.faces.requireTest(dataset)
    try agreement.add(dataset, [.query, .gallery], watchdog)
    return dataset
  }

  /// - Throws: `ValidationError` for a path that is empty, or the same data set twice.
  static func check(_ option: String, _ paths: [String]) throws {
    if paths.contains("") { throw ValidationError("\(option): the path of a data set is missing") }
    if let twice = FileIdentity.repeated(paths) { throw ValidationError("\(option) \(twice): is given twice") }
  }
}

/// The runs that a command looks at.
struct RunArguments: ParsableArguments {
  @Argument(help: "The folders of runs.") var runs: [String]

  private static let most = 100

  func validate() throws {
    if runs.contains("") { throw ValidationError("the path of a run is missing") }
    if let twice = FileIdentity.repeated(runs) { throw ValidationError("\(twice): is given twice") }
    guard runs.count <= Self.most else {
      throw ValidationError("\(runs.count) runs; \(Self.most) are looked at, at most")
    }
  }
}

/// `--query` and `--gallery` of the commands that rank features.
struct FeatureOptions: ParsableArguments {
  @Option(name: .long, help: "Features of the queries (.npy).") var query: String
  @Option(name: .long, help: "Features of the gallery (.npy).") var gallery: String

  /// With the labels beside them.
  var paths: [String] { [query, gallery].flatMap { [$0, FeatureFiles.labelPath(of: $0)] } }
}

extension Machine {
  /// Loops over this machine's cores, as `Evaluation` asks for them.
  var parallelFor: ParallelFor { { count, body in workers.parallelFor(count) { index, _ in body(index) } } }
}

/// What the commands that use a checkpoint begin with.
struct CheckpointedJob {
  let checkpoint: Checkpoint, configuration: Configuration, machine: Machine, log: RunLog

  /// The same checkpoint, settings, program and images on all ranks. One rank compares the content of the checkpoint's
  /// files with their manifest.
  /// - Parameter images: adds what else must be alike, and returns it.
  static func begin<T>(
    _ path: String, _ options: ConfigurationOptions, _ communicator: any Communicator, _ watchdog: Watchdog?,
    images: (Configuration, Checkpoint, inout Agreement) throws -> T
  ) throws -> (CheckpointedJob, T) {
    let checkpoint = try communicator.agree { try Checkpoint(path: path, verified: communicator.isCoordinator) }
    var saved = Agreement()
    try communicator.agree { try saved.add(checkpoint) }
    try saved.settle(communicator)
    let configuration = try options.agreed(communicator) { try options.resolve(checkpoint) }
    watchdog?.setLimit(seconds: configuration.watchdog.seconds)
    let machine = try communicator.agree { try Machine(communicator, threads: configuration.threads) }
    // What the training was told to keep quiet about is what this command is asked for.
    let level = configuration.log.level.includesDebug ? configuration.log.level : .info
    let log = try RunLog(rank: communicator.rank, level: level)
    var agreement = Agreement()
    let content = try communicator.agree {
      try agreement.addProgram(machine, configuration)
      return try images(configuration, checkpoint, &agreement)
    }
    try agreement.settle(communicator)
    if checkpoint.isAveraged { log.info("\(checkpoint.folder): the average of its weights") }
    // Other settings than those of the training may be wanted, but never unnoticed.
    let sections = ["input.", "precision.", "evaluation.", "data.faces."]
    for (key, old, new) in try configuration.differences(from: checkpoint.state.configuration)
    where sections.contains(where: key.hasPrefix) {
      log.info("differs from the checkpoint: \(key) was \(old), now \(new)")
    }
    return (CheckpointedJob(checkpoint: checkpoint, configuration: configuration, machine: machine, log: log), content)
  }

  /// A network of the checkpoint, and what it embeds by.
  func extractor<E: Element>(_: E.Type) throws -> FeatureExtractor<E> {
    let (network, parameters) = try machine.communicator.agree { try checkpoint.network(E.self) }
    return FeatureExtractor(network, parameters, configuration, machine.context(E.self, configuration))
  }

  /// What `body` makes of features; where these are not finite, the checkpoint is to blame.
  func features<T>(_ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let features as NonfiniteFeatures {
      return try machine.communicator.agree { throw Failure.data(checkpoint.folder, "\(features)") }
    }
  }
}
