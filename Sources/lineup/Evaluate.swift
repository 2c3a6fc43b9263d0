import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Storage
import Tensors
import Training

/// Ranks a data set's gallery by a checkpoint's features.
struct Evaluate: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rank a data set's gallery for its queries by a checkpoint's features; under mpirun, on all ranks.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, help: "The data set's folder.") var data: String
  @Option(name: .long, help: "Write the metrics here too, as one JSON object.") var json: String?
  @OptionGroup var options: ConfigurationOptions

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = json.map { Destination("--json", $0) }
    try communicator.onRank0 { try destination?.requireFile(besides: [data, options.config]) }
    let (job, dataset) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      let dataset = try ReIDDataset.open(at: data, configuration.data.reading)
      try destination?.requireOther(than: dataset.paths)
      try dataset.require(.query, .gallery)
      try agreement.add(dataset, [.query, .gallery], watchdog)
      return dataset
    }
    let (saved, configuration, machine, log) = (job.checkpoint, job.configuration, job.machine, job.log)
    func evaluate<E: Element>(_: E.Type) throws {
      let (network, parameters) = try communicator.agree { try saved.network(E.self) }
      let outcome = try job.features {
        try Evaluator.run(
          dataset, network, parameters, configuration, machine.context(E.self, configuration), announce: log.announce)
      }
      for reason in outcome.damaged { log.warning("left out: \(reason)") }
      if communicator.isCoordinator { for warning in dataset.warnings + outcome.warnings { log.warning(warning) } }
      log.info(
        "\(saved.folder) on \(dataset.name): \(outcome.images) images in \(String(format: "%.1f", outcome.seconds)) s"
      )
      log.result(outcome.scores, as: configuration.log.results)
      try communicator.agree {
        try log.requireDelivered()
        guard communicator.isCoordinator, let json else { return }
        try MetricsFile.write(
          outcome.scores, outcome.plain, reRanked: outcome.reRanked,
          damaged: (outcome.damagedQueries, outcome.damagedGallery), to: json)
      }
    }
    try evaluate(configuration.precision.storage.element)
  }
}
