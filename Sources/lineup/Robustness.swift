import ArgumentParser
import Collectives
import Dataset
import Foundation
import Storage
import Tensors
import Training

/// How far a checkpoint's embeddings move under small changes of features, the quantity that MSGR bounds.
struct Robustness: RankCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Perturb features of training images slightly: change of loss and embeddings; under mpirun, on all ranks.",
    discussion:
      "Each image's feature is moved by a share of its own length, along the gradient of the loss and at random. "
      + "A float16 checkpoint is measured in float32.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp(
      "The data set's folder or CSV file: that of the training, or several as there.", valueName: "path"))
  var data: [String]
  @Option(name: .long, help: "Where to perturb: input, 1, 2, 3, 4, separated by commas.") var at = "1,2"
  @Option(name: .long, help: "Lengths of the perturbations, as shares of the feature's, separated by commas.")
  var sizes = "0.001,0.01,0.1"
  @Option(name: .long, help: "Training batches to take the mean over.") var batches = 4
  @Option(name: .long, help: "Write the numbers here too, as one JSON object.") var json: String?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    try DataOptions.check("--data", data)
    guard batches > 0 else { throw ValidationError("--batches must be 1 or more") }
    guard !places.isEmpty, !places.contains(nil) else {
      throw ValidationError("--at is \(at); it must be one or more of input, 1, 2, 3, 4")
    }
    guard !lengths.isEmpty, lengths.allSatisfy({ $0.map { $0 > 0 && $0.isFinite } ?? false }) else {
      throw ValidationError("--sizes is \(sizes); it must be one or more positive numbers")
    }
  }

  private var places: [Int?] {
    at.split(separator: ",").map { $0 == "input" ? 0 : Int($0).flatMap { (1...4).contains($0) ? $0 : nil } }
  }

  private var lengths: [Double?] { sizes.split(separator: ",").map { Double($0) } }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = json.map { Destination("--json", $0) }
    try communicator.onRank0 { try destination?.requireFile(besides: data + [options.config]) }
    let (job, (samples, classes, warnings)) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, saved, agreement in
      let sets = try data.map {
        try ReIDDataset.open(at: $0, configuration.data.reading)
          .leavingOut(fewerThan: configuration.sampling.minimumImages)
      }
      for dataset in sets {
        try dataset.require(.train)
        try configuration.data.faces.requireTraining(dataset)
        try destination?.require(besides: dataset)
      }
      let samples = RunData(sets).train, classes = Sample.classes(of: samples)
      try saved.requireIdentities(classes)
      for dataset in sets { try agreement.add(dataset, [.train], watchdog) }
      return (samples, classes, sets.flatMap(\.warnings))
    }
    let (saved, configuration, machine) = (job.checkpoint, job.configuration, job.machine)
    if communicator.isCoordinator { for warning in warnings { job.log.warning(warning) } }
    func measure<E: Element>(_: E.Type) throws {
      let (network, parameters) = try communicator.agree { try saved.network(E.self) }
      let probe = RobustnessProbe(
        network, parameters, places: Array(Set(places.map { $0! })), sizes: lengths.map { $0! }, configuration,
        machine.context(E.self, configuration))
      let result = try probe.run(samples, classes: classes, batches: batches)
      try communicator.onRank0 {
        report(result)
        if let json { try write(result, to: json) }
      }
    }
    // In float16 small changes drown in rounding.
    let isExact = configuration.precision.storage == .float64
    try isExact ? measure(Double.self) : measure(Float.self)
  }

  private func report(_ result: Training.Robustness) {
    print(String(format: "loss %.4f", result.loss))
    for (place, value) in result.gradientNorms {
      print(String(format: "sum of gradient norms at %@: %.4f", name(place), value))
    }
    print("at    size    loss: gradient     random   embedding: gradient     random")
    for row in result.rows {
      print(
        name(row.place).padding(toLength: 6, withPad: " ", startingAt: 0)
          + String(
            format: "%-7g %+14.4f %+10.4f %21.2f %% %8.2f %%", row.size, row.lossAlong, row.lossRandom,
            100 * row.embeddingAlong, 100 * row.embeddingRandom))
    }
  }

  private func name(_ place: Int) -> String { place == 0 ? "input" : "\(place)" }

  private func write(_ result: Training.Robustness, to path: String) throws {
    struct Row: Encodable {
      let at: String, size: Double, lossGradient: Double, lossRandom: Double, embeddingGradient: Double
      let embeddingRandom: Double
    }
    struct Content: Encodable { let loss: Double, gradientNorms: [String: Double], rows: [Row] }
    let norms = result.gradientNorms.map { (name($0.place), $0.value) }
    let content = Content(
      loss: result.loss, gradientNorms: Dictionary(uniqueKeysWithValues: norms),
      rows: result.rows.map {
        Row(
          at: name($0.place), size: $0.size, lossGradient: $0.lossAlong, lossRandom: $0.lossRandom,
          embeddingGradient: $0.embeddingAlong, embeddingRandom: $0.embeddingRandom)
      })
    try AtomicFiles.write(json: content, to: path)
  }
}
