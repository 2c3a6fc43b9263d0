import ArgumentParser
import Collectives
import Dataset
import Foundation
import Layers
import Network
import Storage
import Tensors
import Training

/// How far a checkpoint's outputs move under noise on its input: networks compared without labels.
struct Sensitivity: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Variance over images of how outputs move under noise on the input; under mpirun, on all ranks.",
    discussion:
      "Noise is that of normalized pixels and counted by image. Where the identities are those of the training, the "
      + "cross-entropy on the same images is printed too. A float16 checkpoint is measured in float32.")

  /// What is looked at.
  enum Outputs: String, CaseIterable, ExpressibleByArgument { case logits, embedding }
  /// Which images.
  enum Images: String, CaseIterable, ExpressibleByArgument { case test, train }

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("The data set's folder or CSV file, or several.", valueName: "path"))
  var data: [String]
  @Option(name: .long, help: "logits (of the first head) or embedding (what is retrieved by).") var of = Outputs.logits
  @Option(name: .long, help: "test (queries and gallery) or train images.") var on = Images.test
  @Option(name: .long, help: "How many images, evenly spread over all there are; 0 takes all.") var images = 1000
  @Option(name: .long, help: "The deviation of the noise on normalized pixels.") var sigma = 0.1
  @Option(name: .long, help: "Draws of the noise, of which mean and spread are printed.") var seeds = 5
  @Option(name: .long, help: "Write the numbers here too, as one JSON object.") var json: String?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    try DataOptions.check("--data", data)
    guard images >= 0, images != 1 else { throw ValidationError("--images must be 2 or more, or 0 for all") }
    guard sigma > 0, sigma <= 1000 else {
      throw ValidationError("--sigma is \(sigma); it must be above 0 and at most 1000")
    }
    guard (1...1000).contains(seeds) else { throw ValidationError("--seeds must be from 1 to 1000") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = json.map { Destination("--json", $0) }
    try communicator.onRank0 { try destination?.requireFile(besides: data + [options.config]) }
    let (job, (samples, classes)) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, saved, agreement in
      let splits: [ReIDDataset.Split] = on == .train ? [.train] : [.query, .gallery]
      let sets = try data.map { try ReIDDataset.open(at: $0, configuration.data.reading) }
      for dataset in sets {
        try destination?.require(besides: dataset)
        try agreement.add(dataset, splits, watchdog)
      }
      let all = on == .train ? RunData(sets).train : sets.flatMap { $0.query + $0.gallery }
      try faces(configuration).require(in: all, of: data[0], "data.faces.\(on.rawValue)")
      let samples = chosen(all)
      guard samples.count >= 2 else {
        throw Failure.data(
          data[0], "\(all.count) \(on.rawValue) images; a variance over images takes two or more")
      }
      return (samples, labels(of: samples, sets, saved))
    }
    let (saved, configuration, machine) = (job.checkpoint, job.configuration, job.machine)
    func measure<E: Element>(_: E.Type) throws {
      let context = machine.context(E.self, configuration)
      let (network, parameters) = try communicator.agree { try saved.network(E.self) }
      network.packToClassify(parameters, context)
      let probe = OutputSensitivityProbe(
        sigma: sigma, seeds: seeds, seed: configuration.seed, batch: configuration.evaluation.batch, context)
      let (height, width) = (configuration.input.height, configuration.input.width)
      var transforms = Transforms(configuration)
      transforms.faces = faces(configuration)
      let result = try probe.measure(samples.count, classes: classes) { range in
        let pixels = try transforms.evaluation(of: samples[range])
        watchdog?.beat()
        return InputNormalization.forward(pixels, height: height, width: width, context)
      } _: { images in
        switch of {
        case .logits: try network.classify(images, parameters, context)
        case .embedding: try network.embed(images, parameters, context)
        }
      }
      try communicator.onRank0 {
        report(result)
        if let json { try write(result, to: json) }
      }
    }
    // In float16 the noise drowns in rounding.
    let isExact = configuration.precision.storage == .float64
    try isExact ? measure(Double.self) : measure(Float.self)
  }

  private func faces(_ configuration: Configuration) -> Faces {
    on == .train ? configuration.data.faces.train : configuration.data.faces.test
  }

  /// Evenly spread over `samples`.
  private func chosen(_ samples: [Sample]) -> [Sample] {
    images > 0 ? samples.evenly(images) : samples
  }

  /// Where the logits are those of the identities of all images, which takes the data that the checkpoint was trained on.
  private func labels(of samples: [Sample], _ sets: [ReIDDataset], _ saved: Checkpoint) -> [Int]? {
    let head = saved.state.configuration.model.heads.first ?? HeadOptions()
    let isShared = on == .train || sets.count == 1 && sets[0].identitiesAreShared
    let classes = Sample.classes(of: RunData(sets).train)
    guard of == .logits, head.label == .identity, head.groups.isEmpty, head.classifier.kind == .linear, isShared,
      classes.keys.sorted() == saved.state.identities
    else { return nil }
    let known = samples.compactMap { classes[$0.identity] }
    return known.count == samples.count ? known : nil
  }

  private func report(_ result: OutputSensitivity) {
    let name = of == .logits ? "logits" : "values of the embedding"
    print(
      String(
        format: "sensitivity %.4e ± %.1e of %d seeds: %d %@, %d %@ images, noise %g", result.mean, result.deviation,
        result.values.count, result.outputs, name, result.images, on.rawValue, sigma))
    if let loss = result.loss { print(String(format: "cross-entropy %.4f on the same images", loss)) }
  }

  private func write(_ result: OutputSensitivity, to path: String) throws {
    struct Content: Encodable {
      let of: String, on: String, sigma: Double, images: Int, outputs: Int
      let sensitivity: Double, deviation: Double, seeds: [Double], crossEntropy: Double?
    }
    try AtomicFiles.write(
      json: Content(
        of: of.rawValue, on: on.rawValue, sigma: sigma, images: result.images, outputs: result.outputs,
        sensitivity: result.mean, deviation: result.deviation, seeds: result.values, crossEntropy: result.loss),
      to: path)
  }
}
