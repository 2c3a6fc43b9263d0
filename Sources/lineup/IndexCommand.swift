import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Retrieval
import Storage
import Tensors
import Training

/// Features of a gallery, kept to be searched.
struct IndexCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Write an index of a gallery: features that search and serve find images by.",
    discussion:
      "Where there is one of the same checkpoint, only images that are new or changed (size, time of last change) are embedded, and "
      + "those that are gone leave it. It is replaced as a whole. features.npy is numpy.load's; --faiss adds a file for "
      + "faiss.read_index.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(
    name: .long, help: "JPEG or PNG images: a folder of them, a folder with one for each identity, or a CSV file.")
  var gallery: String
  @Option(name: .long, help: "The index's folder.") var output: String
  @Flag(name: .long, help: "Also write index.faiss; without it an older one goes.") var faiss = false
  @OptionGroup var options: ConfigurationOptions

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 { try requireOutput() }
    let (job, found) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      let found = try SearchJob.gallery(gallery, configuration)
      try agreement.add(found.samples, below: ImageList.root(of: gallery))
      return found
    }
    try communicator.onRank0 { try makePlace() }
    let samples = found.samples
    for warning in found.warnings { job.log.warning(warning) }
    let origin = try communicator.agree { try SearchJob.origin(job.checkpoint, job.configuration) }
    // Rank 0 alone looks at the old index; which images are to be embedded is its word.
    var update: IndexUpdate?
    try communicator.onRank0 {
      let old = try GalleryIndex.isAt(output) ? GalleryIndex(output) : nil
      try old?.description.origin.require(origin, of: output)
      update = try IndexUpdate(of: samples, named: found.names, old)
      if update!.isNothing, old!.hasFAISS == faiss { update = nil }
    }
    let word = try communicator.broadcast([UInt8](try JSONEncoder().encode(update?.pending)))
    guard let pending = try communicator.agree({ try JSONDecoder().decode([Int]?.self, from: Data(word)) }) else {
      return job.log.info("\(output): nothing has changed")
    }
    func embed<E: Element>(_: E.Type) throws {
      let extractor = try job.extractor(E.self)
      let extracted = try job.features { try extractor.extract(pending.map { samples[$0] }) }
      for reason in extracted.damaged { job.log.warning("left out: \(reason)") }
      try communicator.onRank0 {
        guard let update else { return }
        // Those that are left out are the ones that are not among the kept, in the same order.
        var row = 0
        let rows = pending.map { index -> Int? in
          guard row < extracted.samples.count, extracted.samples[row] == samples[index] else { return nil }
          row += 1
          return row - 1
        }
        guard pending.count < samples.count || row > 0 else {
          throw Failure.data(gallery, "none of its \(samples.count) images can be decoded")
        }
        try requireOwn()
        // Through a link, which would otherwise become a folder.
        let place = URL(fileURLWithPath: output).resolvingSymlinksInPath().path
        let count = try update.write(
          to: place, extracted.features, rows: rows, metric: job.configuration.evaluation.metric, origin: origin,
          faiss: faiss)
        job.log.info(
          "\(output): \(count) images × \(extracted.features.columns), \(job.configuration.evaluation.metric.rawValue): "
            + "\(row - update.changed) new, \(update.changed) changed, \(count - row) kept, \(update.gone) gone")
      }
    }
    try embed(job.configuration.precision.storage.element)
  }

  /// What is there is replaced as a whole, so it may be an index and nothing besides: no images, no run.
  private func requireOwn() throws {
    let own = GalleryIndex.files(in: output).map { String($0.dropFirst(output.count + 1)) }
    try Destination("--output", output).requireNothing(but: Set(own), of: "an index")
    if InputFile.isFolder(output), !GalleryIndex.isAt(output), let name = try Folder.names(in: output).min() {
      throw Failure.usage("--output \(output)", "holds \(name) and no index.json; name another folder")
    }
  }

  /// A folder that is an index, or is not there, or has nothing in it.
  private func requireOutput() throws {
    try Destination("--output", output).requireFolder()
    try Destination("--output", output).requireNoRun()
    try requireOwn()
  }

  /// What takes hours to embed must have a place to go to.
  private func makePlace() throws {
    let above = URL(fileURLWithPath: output).deletingLastPathComponent().path
    try AtomicFiles.makeDirectory(above)
    try AtomicFiles.requireWritable("\(above)/index")
  }
}
