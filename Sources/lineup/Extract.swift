import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Tensors
import Training

/// Writes the features of a folder of images.
struct Extract: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint's features of all images of a folder: FILE.npy, and FILE.csv with their names.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, help: "A folder of JPEG or PNG images, or a CSV path,identity,camera.") var images: String
  @Option(name: .long, help: "FILE.npy: float32, one row an image.") var output: String
  @OptionGroup var options: ConfigurationOptions

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let files = [
      Destination("--output", output), Destination("--output, its labels", FeatureFiles.labelPath(of: output)),
    ]
    try communicator.onRank0 {
      guard output.hasSuffix(".npy") else {
        throw Failure.usage("--output \(output): features go to a file named *.npy")
      }
      for file in files { try file.requireFile(besides: [images, options.config]) }
    }
    let (job, samples) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      let samples = try ImageList.listing(images)
      try configuration.data.faces.test.require(in: samples, of: images, "data.faces.test")
      for file in files { try file.requireOther(than: samples.lazy.map(\.path)) }
      try agreement.add(samples, below: ImageList.root(of: images))
      return samples
    }
    let log = job.log
    func extract<E: Element>(_: E.Type) throws {
      let extractor = try job.extractor(E.self)
      let (features, kept, damaged) = try job.features { try extractor.extract(samples) }
      for reason in damaged { log.warning("left out: \(reason)") }
      try communicator.agree {
        guard features.rows > 0 else {
          throw Failure.data(images, "none of its \(samples.count) images can be decoded")
        }
        guard communicator.isCoordinator else { return }
        let groups = kept.compactMap(\.group)
        try FeatureFiles.write(
          try Evaluator.labelled("features", features, kept), groups: groups.count == kept.count ? groups : nil,
          to: output)
      }
      log.info("\(output): \(features.rows) × \(features.columns), and \(FeatureFiles.labelPath(of: output))")
    }
    try extract(job.configuration.precision.storage.element)
  }
}
