import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Retrieval
import Storage
import Tensors
import Training

/// `--camera` and `--not-camera`.
struct CameraOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Only images of these cameras.", valueName: "c1,c3")) var camera: String?
  @Option(name: .long, help: ArgumentHelp("No images of these cameras.", valueName: "c2")) var notCamera: String?

  func filter(_ gallery: Gallery) throws -> CameraFilter {
    func cameras(_ text: String?, _ option: String) throws -> Set<Int>? {
      try text.map { try CameraFilter.cameras($0, among: gallery.cameras, named: gallery.names.cameras, of: option) }
    }
    return CameraFilter(
      only: try cameras(camera, "--camera"), without: try cameras(notCamera, "--not-camera") ?? [])
  }
}

/// The images of a gallery that are most like some others.
struct SearchCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "search", abstract: "Find the images of a gallery that are nearest to each query.",
    discussion:
      "Distances are those of evaluation.metric, as evaluate has them, to every image: nothing is approximated. Not under mpirun."
  )

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, parsing: .upToNextOption, help: "JPEG or PNG images.") var query: [String]
  @Option(
    name: .long, help: "An index, or images: a folder of them, a folder with one for each identity, or a CSV file.")
  var gallery: String
  @Option(name: .long, help: "Matches of each query.") var top = 10
  @OptionGroup var cameras: CameraOptions
  @Option(name: .long, help: "Write the matches here too, as JSON: a list with an object a query.") var json: String?
  @Option(name: .long, help: "Write a page with the pictures here: one file that needs nothing else.") var html: String?
  @OptionGroup var options: ConfigurationOptions

  /// What `gallery` names.
  private enum Content { case index(GalleryIndex), images(SearchedGallery) }

  /// The files that it reads, of a gallery only what an index has.
  private var inputs: [String] { query + [gallery] + GalleryIndex.files(in: gallery) }

  func validate() throws {
    guard top > 0 else { throw ValidationError("--top must be 1 or more") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.agree {
      try communicator.requireAlone("search is")
      for (option, path) in [("--json", json), ("--html", html)] {
        guard let path else { continue }
        try Destination(option, path).requireFile(besides: inputs + [options.config])
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        if GalleryIndex.isAt(folder) {
          throw Failure.usage("\(option) \(path): \(folder) is an index, which has no other files; name another folder")
        }
      }
      if let json, let html, json == html || FileIdentity(json) != nil && FileIdentity(json) == FileIdentity(html) {
        throw Failure.usage("--json and --html name the same file")
      }
    }
    let isIndex = GalleryIndex.isAt(gallery)
    let (job, content) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, _ -> Content in
      if isIndex { return .index(try GalleryIndex(gallery)) }
      let found = try SearchJob.gallery(gallery, configuration)
      for (option, path) in [("--json", json), ("--html", html)] {
        if let path { try Destination(option, path).requireOther(than: found.samples.lazy.map(\.path)) }
      }
      return .images(found)
    }
    func search<E: Element>(_: E.Type) throws {
      let extractor = try job.extractor(E.self), searched: Gallery
      switch content {
      case .index(let index):
        try job.require(index, of: extractor)
        searched = try Gallery(index, parallelFor: job.machine.parallelFor)
      case .images(let found):
        for warning in found.warnings { job.log.warning(warning) }
        let (features, kept, damaged) = try job.features { try extractor.extract(found.samples) }
        for reason in damaged { job.log.warning("left out: \(reason)") }
        guard features.rows > 0 else {
          throw Failure.data(gallery, "none of its \(found.samples.count) images can be decoded")
        }
        searched = try Gallery(
          kept, features, job.configuration.evaluation.metric, found.names, name: gallery,
          parallelFor: job.machine.parallelFor)
      }
      try answer(job, searched, extractor)
    }
    try communicator.agree { try search(job.configuration.precision.storage.element) }
  }

  private func answer<E: Element>(_ job: CheckpointedJob, _ gallery: Gallery, _ extractor: FeatureExtractor<E>) throws {
    let filter = try cameras.filter(gallery)
    var results: [SearchResult] = []
    for path in query {
      let image = try ImageCodec.decode(path: path)
      let feature = try job.features { try extractor.features(of: [image]) { _ in path }.values }
      let matches = try gallery.nearest(top, to: feature, filter, parallelFor: job.machine.parallelFor)
      results.append(SearchResult(path, matches, gallery))
    }
    for result in results { print(result.table) }
    if let json { try AtomicFiles.write(json: results, escapingSlashes: false, to: json) }
    if let html { try ResultPage.write(results, to: html) { job.log.warning($0) } }
  }
}
