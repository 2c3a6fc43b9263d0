import ArgumentParser
import Collectives
import Dataset
import Foundation
import Storage
import Tensors
import Training

/// Trains a network, alone or as one rank of `mpirun`.
struct Train: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a network; under mpirun, on all ranks.",
    discussion: "Asked to stop by SIGTERM, SIGINT or SIGUSR1, it checkpoints and exits with 75.")

  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp(
      "The data set's folder (Market-1501, MSMT17, VeRi, one for each identity), or a CSV file; several to train on all.",
      valueName: "path"))
  var data: [String]
  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("A further data set to test on alone; each has results of its own.", valueName: "path"))
  var test: [String] = []
  @Option(name: .long, help: "The run's folder: configuration, logs, metrics, checkpoints.") var output: String
  @Flag(name: .long, help: "Go on from the latest checkpoint in the run's folder, or the newest good one.")
  var resume = false
  @Option(name: .long, help: ArgumentHelp("Go on from this checkpoint.", valueName: "checkpoint"))
  var resumeFrom: String?
  @Flag(name: .long, help: "Begin anew where the folder holds a run, which is put aside in it.") var restart = false
  @Option(name: .long, help: "Write a timeline of the third step, all ranks, to this file (Chrome's trace format).")
  var trace: String?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    for (option, value) in [("output", output), ("resume-from", resumeFrom)] where value?.isEmpty == true {
      throw ValidationError("--\(option): is empty")
    }
    if let folder = FileIdentity(output), (data + test).contains(where: { FileIdentity($0) == folder }) {
      throw ValidationError("--output \(output): is the data; a run needs a folder of its own")
    }
    try DataOptions.check("--data", data)
    try DataOptions.check("--test", test)
    guard [resume, resumeFrom != nil, restart].count(where: { $0 }) <= 1 else {
      throw ValidationError("--resume, --resume-from and --restart exclude one another")
    }
  }

  private var beginning: RunFolder.Beginning {
    restart ? .anew : resume ? .resumed : resumeFrom.map { .from($0) } ?? .new
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try run(communicator, watchdog, toGoOn: "the same command with --resume")
  }

  /// - Parameter toGoOn: what goes on where the run was asked to stop.
  func run(_ communicator: any Communicator, _ watchdog: Watchdog?, toGoOn: String) throws {
    try communicator.onRank0 {
      guard let trace else { return }
      let weights = try? options.resolve().model.weights  // what is wrong with the options is said below
      try Destination("--trace", trace).requireFile(besides: data + test + [options.config, weights].compactMap { $0 })
    }
    let run = RunFolder(path: output)
    let (configuration, checkpoint) = try begin(run, communicator)
    watchdog?.setLimit(seconds: configuration.watchdog.seconds)
    let machine = try communicator.agree { try Machine(communicator, threads: configuration.threads) }
    let (trained, tested, remarks) = try communicator.agree { try openData(configuration) }
    let dataset = RunData(trained, tests: tested)
    var agreement = Agreement()
    try agreement.addProgram(machine, configuration)
    try communicator.agree {
      for dataset in trained { try agreement.add(dataset, ReIDDataset.Split.allCases, watchdog) }
      for dataset in tested { try agreement.add(dataset, [.query, .gallery], watchdog) }
      if let checkpoint { try agreement.add(checkpoint) }
    }
    try agreement.settle(communicator)
    let log = try communicator.agree {
      try RunLog(rank: communicator.rank, level: configuration.log.level, path: run.logPath)
    }
    func train<E: Element>(_ element: E.Type) throws {
      try introduce(element, configuration, dataset, trained + tested, remarks, machine, log, checkpoint)
      let trainer = try Trainer<E>(
        configuration, dataset, machine, run, log, resuming: checkpoint, trace: trace.map(StepTrace.init(path:)))
      try communicator.agree {
        if communicator.isCoordinator { try run.open(configuration, afterStep: checkpoint?.state.step ?? -1, log) }
      }
      guard try trainer.train() == .stopped else { return }
      log.info("to go on: \(toGoOn)")
      throw AgreedFailure(kind: .stopped)
    }
    try train(configuration.precision.storage.element)
  }

  /// What is trained on, what else is tested on, and what is to be said of them.
  private func openData(_ configuration: Configuration) throws -> ([ReIDDataset], [ReIDDataset], [String]) {
    let trained = try data.map { path in
      let dataset = try ReIDDataset.open(at: path, configuration.data.reading)
        .leavingOut(fewerThan: configuration.sampling.minimumImages)
      try dataset.require(.train)
      try configuration.data.faces.requireTraining(dataset)
      try configuration.data.faces.requireTest(dataset)
      return dataset
    }
    let tested = try test.map { path in
      let dataset = try ReIDDataset.open(at: path, configuration.data.reading)
      try dataset.require(.query, .gallery)
      try configuration.data.faces.requireTest(dataset)
      return dataset
    }
    let remarks =
      try trained.flatMap { try $0.warnings + $0.check(images: configuration.sampling.images) }
      + tested.flatMap { try $0.warnings + $0.check() }
    return (trained, tested, remarks)
  }

  /// The configuration and the checkpoint to go on from: rank 0 looks, the others hear of it and look for themselves.
  private func begin(_ run: RunFolder, _ communicator: any Communicator) throws -> (Configuration, Checkpoint?) {
    func resolved(_ base: Checkpoint?) throws -> Configuration {
      let configuration = try base == nil && resume ? resolvedAsBegun(run) : options.resolve(base)
      let batch = configuration.sampling.identities * configuration.sampling.images
      guard batch >= communicator.size else {
        throw Failure.usage(
          "\(communicator.size) ranks for a batch of \(batch) images (sampling.identities × sampling.images): "
            + "each rank needs one")
      }
      return configuration
    }
    // A wrong setting leaves no folder behind.
    if beginning == .new || beginning == .anew { _ = try options.agreed(communicator) { try resolved(nil) } }
    let found = try communicator.agree {
      communicator.isCoordinator ? try run.begin(beginning) { Console.say($0) } : nil
    }
    let folder = String(decoding: try communicator.broadcast(Array((found?.folder ?? "").utf8)), as: UTF8.self)
    let checkpoint = try communicator.agree {
      try found ?? (folder.isEmpty ? nil : Checkpoint(path: folder, verified: false))
    }
    return (try options.agreed(communicator) { try resolved(checkpoint) }, checkpoint)
  }

  /// A run without a checkpoint yet goes on with the settings that it was begun with.
  private func resolvedAsBegun(_ run: RunFolder) throws -> Configuration {
    guard FileManager.default.fileExists(atPath: run.configurationPath) else { return try options.resolve() }
    let begun = try Configuration.resolve(file: run.configurationPath)
    return try Configuration.resolve(file: options.config, settings: options.set, base: begun)
  }

  /// The first lines of the log: what runs where, on what, in how much memory, and what was restored. Throws where a host
  /// has too little memory.
  private func introduce<E: Element>(
    _ element: E.Type, _ configuration: Configuration, _ data: RunData, _ sets: [ReIDDataset], _ remarks: [String],
    _ machine: Machine, _ log: RunLog, _ checkpoint: Checkpoint?
  ) throws {
    let communicator = machine.communicator, ranks = communicator.size
    let oversubscriptions = try Affinity.oversubscriptions(communicator, threads: machine.workers.count)
    if communicator.isCoordinator { for warning in oversubscriptions { log.warning(warning) } }
    for dataset in sets { log.info(dataset.summary) }
    if communicator.isCoordinator { for warning in remarks { log.warning(warning) } }
    if data.tests.isEmpty { log.info("nothing to test on: the run is not evaluated, and no checkpoint is the best") }
    log.info(
      "\(ranks) \(ranks == 1 ? "rank" : "ranks") × \(machine.workers.count) threads, kernels \(machine.path.rawValue), "
        + "storage \(configuration.precision.storage.rawValue), multiply \(configuration.precision.multiply.rawValue), "
        + "3×3 convolutions \(machine.algorithm(element, configuration).rawValue)")
    let places = try communicator.hosts()
    if ranks > 1 {
      let named = Set(places).sorted().map { host in
        "\(host): \(places.indices.filter { places[$0] == host }.map(String.init).joined(separator: " "))"
      }
      log.info("hosts and their ranks: \(named.joined(separator: ", "))")
    }
    let batch = configuration.sampling.identities * configuration.sampling.images
    let largest = Share.largest(of: batch, ranks: ranks)
    let rehearsal = try Rehearsal.step(
      element, images: largest, ranks: ranks, identities: Sample.classes(of: data.train).count, configuration,
      machine)
    let features = 3 * 4 * rehearsal.descriptorLength * data.mostTestImages
    let images = 4 * 3 * configuration.input.height * configuration.input.width * largest
    log.info("memory: \(rehearsal.memory.summary)")
    try HostMemory.require(rehearsal.memory.total + features + images, communicator)
    guard let checkpoint else { return }
    let state = checkpoint.state
    log.info(
      "resumed from \(checkpoint.folder): step \(state.step), \(state.updates) updates, "
        + "loss scale \(state.lossScale.scale), parameters, running statistics and moments")
    for (key, old, new) in try configuration.differences(from: state.configuration) {
      log.info("differs from the checkpoint: \(key) was \(old), now \(new)")
    }
  }
}
