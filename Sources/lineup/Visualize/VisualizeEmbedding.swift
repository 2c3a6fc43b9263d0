import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Layers
import Pictures
import Storage
import Tensors
import Training

/// A map of the features, with their images on it.
struct VisualizeEmbedding: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "embedding",
    abstract: "Draw images where their features lie in a plane, framed by identity: t-SNE or principal components.",
    discussion:
      "Whole identities are drawn at random until there are --images images, of one at most 20; tracks are one point, the mean of their "
      + "frames' features. t-SNE is exact: perplexity 30, from the principal components, 1000 iterations. Features are of unit "
      + "length where evaluation.metric is cosine. Under mpirun features are extracted on all ranks.")

  enum Method: String, CaseIterable, ExpressibleByArgument { case tsne, pca }
  enum Images: String, CaseIterable, ExpressibleByArgument { case test, train }

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @OptionGroup var data: DataOptions
  @OptionGroup var picture: PictureOptions
  @Option(name: .long, help: "tsne or pca.") var method = Method.tsne
  @Option(name: .long, help: "test (queries and gallery) or train images.") var on = Images.test
  @Option(name: .long, help: "How many images, about.") var images = 500
  @Option(name: .long, help: "Of the draw of identities.") var seed: UInt64 = 1
  @Option(name: .long, help: "Of t-SNE: how many neighbours count, about.") var perplexity = 30.0
  @Option(name: .long, help: "Write the coordinates here too: path,identity,camera,x,y.") var csv: String?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    guard (4...TSNE.mostRows).contains(images) else {
      throw ValidationError("--images must be from 4 to \(TSNE.mostRows)")
    }
    guard perplexity >= 2, perplexity <= 1000 else { throw ValidationError("--perplexity must be from 2 to 1000") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let table = csv.map { Destination("--csv", $0) }, inputs = data.paths + [options.config]
    try communicator.onRank0 {
      try picture.require(besides: inputs)
      try table?.requireFile(besides: inputs)
      guard let csv else { return }
      guard csv.lowercased().hasSuffix(".csv") else {
        throw Failure.usage("--csv \(Printable.line(csv)): coordinates go to a file named *.csv")
      }
    }
    let (job, (sets, samples)) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      let splits: [ReIDDataset.Split] = on == .train ? [.train] : [.query, .gallery]
      let sets = try data.paths.map { path in
        let dataset = try ReIDDataset.open(at: path, configuration.data.reading)
        for destination in [picture.destination, table].compactMap({ $0 }) {
          try destination.require(besides: dataset)
        }
        guard splits.contains(where: { !dataset[$0].isEmpty }) else {
          throw Failure.data(
            dataset.root, "no \(on.rawValue) image\(on == .test ? "; --on train draws those for training" : "")")
        }
        if on == .test { try configuration.data.faces.requireTest(dataset) }
        try agreement.add(dataset, splits, watchdog)
        return dataset
      }
      return (sets, chosen(sets.map { set in splits.flatMap { set[$0] } }))
    }
    let (configuration, machine, log) = (job.configuration, job.machine, job.log)
    func draw<E: Element>(_: E.Type) throws {
      let extractor = try job.extractor(E.self)
      let (features, kept, damaged) = try job.features { try extractor.extract(samples) }
      for reason in damaged { log.warning("left out: \(reason)") }
      try communicator.onRank0 {
        let points = try EmbeddedImages(features, kept, configuration.evaluation.metric)
        let (plane, remark) = plane(of: points.features.matrix, machine, log, watchdog)
        let names = sets.map { ShownName.last($0.root) }.joined(separator: ", ")
        let drawing = points.map(
          "Features of \(names) by \(ShownName.checkpoint(job.checkpoint.folder))", remark, at: plane, configuration,
          kept, sets.count == 1 ? sets[0].names : LabelNames(), say: log.warning
        ).drawing()
        try picture.write(drawing)
        if let csv { try AtomicFiles.write(points.csv(plane), to: csv) }
        log.info("\(picture.output): \(points.count) points, \(remark)")
      }
    }
    try draw(configuration.precision.storage.element)
  }

  private func plane(of features: FeatureMatrix, _ machine: Machine, _ log: RunLog, _ watchdog: Watchdog?) -> (
    [Point], String
  ) {
    guard method == .tsne else {
      return (
        PrincipalComponents.plane(of: features, parallelFor: machine.parallelFor), "the first two principal components"
      )
    }
    var tsne = TSNE()
    tsne.perplexity = perplexity
    let result = tsne.plane(of: features, parallelFor: machine.parallelFor) { watchdog?.beat() }
    let used = min(perplexity, Double(features.rows - 1) / 3)
    return (result.points, String(format: "t-SNE, perplexity %.3g, KL divergence %.3f", used, result.divergence))
  }

  /// Samples of whole identities in a random order, up to `images` points; identities of different data sets are different
  /// ones and keep their numbers apart by their order.
  private func chosen(_ sets: [[Sample]]) -> [Sample] {
    struct Person: Hashable { let set: Int, identity: Int }
    // What is one point: an image, or the frames of a track.
    var points: [Person: [[Sample]]] = [:], order: [Person] = [], tracks: [Int: [Int: Int]] = [:]
    for (set, samples) in sets.enumerated() {
      for sample in samples where sample.identity >= 0 {
        let person = Person(set: set, identity: sample.identity)
        if points[person] == nil { order.append(person) }
        if let track = sample.track, let index = tracks[set]?[track] {
          points[person]![index].append(sample)
        } else {
          if let track = sample.track { tracks[set, default: [:]][track] = points[person]?.count ?? 0 }
          points[person, default: []].append([sample])
        }
      }
    }
    order.sort { ($0.set, $0.identity) < ($1.set, $1.identity) }
    var random = CounterRandom(seed: seed, purpose: .evaluation)
    random.shuffle(&order)
    var chosen: [[Sample]] = []
    for person in order where chosen.count < images {
      chosen += points[person]!.evenly(min(20, images - chosen.count))
    }
    return chosen.flatMap { $0 }
  }
}
