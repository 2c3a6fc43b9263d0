import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Storage
import Tensors
import Training

/// Ranks data sets' galleries by a checkpoint's features.
struct Evaluate: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rank a data set's gallery for its queries by a checkpoint's features; under mpirun, on all ranks.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @OptionGroup var data: DataOptions
  @Option(name: .long, help: "Write the metrics here too, as one JSON object; of several data sets by their names.")
  var json: String?
  @OptionGroup var options: ConfigurationOptions

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = json.map { Destination("--json", $0) }
    try communicator.onRank0 { try destination?.requireFile(besides: data.paths + [options.config]) }
    let (job, sets) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      try data.openTests(configuration, &agreement, watchdog, besides: destination.map { [$0] } ?? [])
    }
    let (configuration, machine, log) = (job.configuration, job.machine, job.log)
    func evaluate<E: Element>(_: E.Type) throws {
      let (network, parameters) = try communicator.agree { try job.checkpoint.network(E.self) }
      let results = try zip(RunData([], tests: sets).names, sets).map { name, dataset in
        let outcome = try job.features {
          try Evaluator.run(
            dataset, network, parameters, configuration, machine.context(E.self, configuration), announce: log.announce)
        }
        report(outcome, of: dataset, named: sets.count > 1 ? name : nil, job)
        let metrics = MetricsFile(
          outcome.scores, outcome.plain, reRanked: outcome.reRanked,
          damaged: (outcome.damagedQueries, outcome.damagedGallery))
        return (name, metrics)
      }
      try communicator.agree {
        try log.requireDelivered()
        guard communicator.isCoordinator, let json else { return }
        try MetricsFile.write(results, to: json)
      }
    }
    try evaluate(configuration.precision.storage.element)
  }

  /// - Parameter name: where there are several data sets.
  private func report(
    _ outcome: Evaluator.Outcome, of dataset: ReIDDataset, named name: String?, _ job: CheckpointedJob
  ) {
    let log = job.log
    for reason in outcome.damaged { log.warning("left out: \(reason)") }
    if job.machine.communicator.isCoordinator {
      for warning in dataset.warnings + dataset.overlaps + outcome.warnings { log.warning(warning) }
    }
    log.info(
      "\(job.checkpoint.folder) on \(dataset.name): \(outcome.images) images in "
        + String(format: "%.1f s", outcome.seconds))
    log.result(outcome.scores, of: name, as: job.configuration.log.results)
  }
}
