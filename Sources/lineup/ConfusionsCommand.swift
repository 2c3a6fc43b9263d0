import ArgumentParser
import Collectives
import Dataset
import Foundation
import Layers
import Losses
import Network
import Storage
import Tensors
import Training

/// Groups of the identities that a network confuses, as heads for the next one (SSAL).
struct ConfusionsCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "confusions",
    abstract: "Group the identities that a checkpoint confuses, and write heads that tell the groups apart (SSAL).",
    discussion:
      "Looks at the training images in evaluation mode, through the classifier of the first head. The file is the "
      + "configuration of the checkpoint, with a head more on each of stages 1, 2, … that tells as many groups apart as "
      + "--groups says; `lineup train --config FILE` trains it on the same data. Under mpirun, on all ranks.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("The data set's folder or CSV file that it was trained on, or several.", valueName: "path"))
  var data: [String]
  @Option(name: .long, help: "The YAML file to write.") var output: String
  @Option(
    name: .long, parsing: .upToNextOption,
    help: "Of stages 1, 2, …: the groups, as shares of the identities.") var groups = [0.2, 1.0 / 3, 0.5]
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    try DataOptions.check("--data", data)
    guard (1...3).contains(groups.count), groups.allSatisfy({ $0 > 0 && $0 < 1 }) else {
      throw ValidationError("--groups: expected one to three shares above 0 and below 1")
    }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = Destination("--output", output)
    try communicator.onRank0 { try destination.requireFile(besides: data + [options.config]) }
    let (job, (samples, labels)) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, saved, agreement in
      let head = configuration.model.heads.first ?? HeadOptions()
      let sets = try data.map { try ReIDDataset.open(at: $0, configuration.data.reading) }
      for dataset in sets {
        try destination.require(besides: dataset)
        try configuration.data.faces.requireTraining(dataset)
        try agreement.add(dataset, [.train], watchdog)
      }
      let samples = RunData(sets).train, classes = Sample.classes(of: samples)
      guard classes.keys.sorted() == saved.state.identities else {
        throw Failure.data(data[0], "its training identities are not those that \(saved.folder) was trained on")
      }
      guard head.label == .identity, head.groups.isEmpty, head.classifier.kind == .linear else {
        throw Failure.usage("\(saved.folder): its first head has no linear classifier of identities")
      }
      return (samples, samples.map { classes[$0.identity]! })
    }
    let saved = job.checkpoint, classes = saved.state.identities.count
    let own = Share.rows(samples.count, communicator)
    let probabilities = try probabilities(Array(samples[own]), job, watchdog)
    let confusion = try ConfusionGroups(
      probabilities, of: Array(labels[own]), classes: classes, communicator)
    try communicator.onRank0 {
      let found = groups.map { confusion.groups(max(1, Int(($0 * Double(classes)).rounded()))) }
      for (index, groups) in found.enumerated() {
        print(
          String(
            format: "stage %d: %d groups of %d identities, which keep %.1f%% of what is confused", index + 1,
            (groups.max() ?? 0) + 1, classes, 100 * confusion.within(groups)))
      }
      try AtomicFiles.write(try next(saved.state.configuration, found), to: output)
    }
  }

  /// Of the first head's classes, of each image, row after row.
  private func probabilities(
    _ samples: [Sample], _ job: CheckpointedJob, _ watchdog: Watchdog?
  ) throws -> [Double] {
    let configuration = job.configuration, context = job.machine.context(Float.self, configuration)
    let (network, parameters) = try context.communicator.agree { try job.checkpoint.network(Float.self) }
    network.packToClassify(parameters, context)
    let (height, width) = (configuration.input.height, configuration.input.width)
    let transforms = Transforms(configuration)
    var rows: [Double] = []
    try context.communicator.agree {
      for first in stride(from: 0, to: samples.count, by: configuration.evaluation.batch) {
        let batch = samples[first..<min(samples.count, first + configuration.evaluation.batch)]
        let pixels = try transforms.evaluation(of: batch)
        let images: Tensor<Float> = InputNormalization.forward(pixels, height: height, width: width, context)
        let logits = try network.classify(images, parameters, context)
        for image in 0..<batch.count {
          let count = logits.shape.channels
          let softmax = Softmax(ArraySlice((0..<count).map { Double(logits.pointer[image * count + $0]) }))
          rows += softmax.exponentials.map { $0 / softmax.sum }
        }
        watchdog?.beat()
        _ = context.workers.timeline.take()  // nobody asks for the spans
      }
      guard rows.allSatisfy(\.isFinite) else { throw Failure.data(job.checkpoint.folder, "its logits are not finite") }
    }
    return rows
  }

  /// The configuration of the checkpoint, with heads more.
  private func next(_ configuration: Configuration, _ groups: [[Int]]) throws -> String {
    var next = configuration, heads = configuration.model.heads
    if heads.isEmpty {
      let losses = configuration.losses
      var head = HeadOptions(), crossEntropy = CrossEntropy(), triplet = BatchHardTriplet()
      (crossEntropy.weight, crossEntropy.smoothing) = (losses.crossEntropy.weight, losses.crossEntropy.smoothing)
      (triplet.weight, triplet.margin, triplet.soft) = (
        losses.triplet.weight, losses.triplet.margin, losses.triplet.soft
      )
      (head.name, head.losses) = ("global", [LossChoice(crossEntropy), LossChoice(triplet)])
      heads = [head]
    }
    for (index, groups) in groups.enumerated() {
      var head = HeadOptions()
      (head.name, head.sources, head.groups) = ("groups\(index + 1)", [.stage(index + 1)], groups)
      var embedding = EmbeddingOptions()
      embedding.length = 256
      (head.neck, head.losses) = (.embedding(embedding), [LossChoice(.crossEntropy)])
      heads.append(head)
    }
    next.model.heads = heads
    return
      "# Written by lineup confusions: heads that tell groups of identities apart, for the data that it looked at.\n"
      + (try next.yaml())
  }
}
