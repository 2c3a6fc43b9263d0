import ArgumentParser
import Collectives
import Dataset
import Foundation
import Tensors
import Training

/// Trains a network, alone or as one rank of `mpirun`.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a network; under mpirun, on all ranks.",
    discussion: "Asked to stop by SIGTERM, SIGINT or SIGUSR1, it checkpoints and exits with 75.")

  @Option(name: .long, help: "The data set's folder (Market-1501, MSMT17, VeRi, or a CSV path,identity,camera,split).")
  var data: String
  @Option(name: .long, help: "The run's folder: configuration, logs, metrics, checkpoints.") var output: String
  @Flag(name: .long, help: "Go on from the latest checkpoint in the run's folder.") var resume = false
  @Option(name: .long, help: "Write a timeline of the third step, all ranks, to this file (Chrome's trace format).")
  var trace: String?
  @OptionGroup var options: ConfigurationOptions

  func run() {
    Job.run { communicator, watchdog in
      let trace = try communicator.agree { try self.trace.map(StepTrace.init(path:)) }
      let (configuration, run, checkpoint) = try communicator.agree { try prepare(communicator) }
      watchdog?.setLimit(seconds: configuration.watchdog.seconds)
      let machine = try communicator.agree { try Machine(communicator, threads: configuration.threads) }
      let log = try communicator.agree {
        try RunLog(rank: communicator.rank, level: configuration.log.level, path: run.logPath)
      }
      let dataset = try communicator.agree {
        let dataset = try ReIDDataset.open(at: data, includeValidation: configuration.data.includeValidation)
        try dataset.require(.train, .query, .gallery)
        return dataset
      }
      func train<E: Element>(_ element: E.Type) throws {
        try introduce(element, configuration, dataset, machine, log, checkpoint)
        let trainer = try Trainer<E>(configuration, dataset, machine, run, log, resuming: checkpoint, trace: trace)
        try communicator.agree {
          if communicator.isCoordinator { try run.open(configuration, afterStep: checkpoint?.state.step ?? -1) }
        }
        guard try trainer.train() == .stopped else { return }
        throw AgreedFailure(kind: .stopped)
      }
      try train(configuration.precision.storage.element)
    }
  }

  /// The configuration, the run's folder and the checkpoint to go on from.
  private func prepare(_ communicator: any Communicator) throws -> (Configuration, RunFolder, Checkpoint?) {
    let run = RunFolder(path: output)
    let checkpoint = resume && run.checkpoints.latest != nil ? try Checkpoint(path: output) : nil
    let configuration = try options.resolve(checkpoint)
    let batch = configuration.sampling.identities * configuration.sampling.images
    guard batch >= communicator.size else {
      throw Failure.usage(
        "\(communicator.size) ranks for a batch of \(batch) images (sampling.identities × sampling.images): "
          + "each rank needs one")
    }
    if communicator.isCoordinator { try run.create(resuming: resume) }
    return (configuration, run, checkpoint)
  }

  /// The first lines of the log: what runs where, on what, in how much memory, and what was restored.
  private func introduce<E: Element>(
    _ element: E.Type, _ configuration: Configuration, _ dataset: ReIDDataset, _ machine: Machine, _ log: RunLog,
    _ checkpoint: Checkpoint?
  ) throws {
    let ranks = machine.communicator.size
    let oversubscriptions = try Affinity.oversubscriptions(machine.communicator, threads: machine.workers.count)
    if machine.communicator.isCoordinator { for warning in oversubscriptions { log.warning(warning) } }
    log.info(dataset.summary)
    log.info(
      "\(ranks) \(ranks == 1 ? "rank" : "ranks") × \(machine.workers.count) threads, kernels \(machine.path.rawValue), "
        + "storage \(configuration.precision.storage.rawValue), multiply \(configuration.precision.multiply.rawValue)")
    let batch = configuration.sampling.identities * configuration.sampling.images
    let rehearsal = try Rehearsal.step(
      element, images: (batch + ranks - 1) / ranks, identities: Sample.classes(of: dataset.train).count, configuration,
      machine)
    log.info("memory: \(rehearsal.memory.summary)")
    guard let checkpoint else {
      if resume { log.info("\(output): no checkpoint yet, starting from the first step") }
      return
    }
    let state = checkpoint.state
    log.info(
      "resumed from \(checkpoint.folder): step \(state.step), \(state.updates) updates, "
        + "loss scale \(state.lossScale.scale), parameters, running statistics and moments")
    for (key, old, new) in try configuration.differences(from: state.configuration) {
      log.info("differs from the checkpoint: \(key) was \(old), now \(new)")
    }
  }
}
