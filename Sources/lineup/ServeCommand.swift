import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Foundation
import Retrieval
import Service
import Tensors
import Training

/// A search behind HTTP.
struct ServeCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve an index over HTTP: a page to drop an image on, and its matches as JSON.",
    discussion:
      "By default to this machine alone. There is no password and no encryption: with another --host, put a proxy in front that has "
      + "both. SIGINT or SIGTERM ends it with 0. Not under mpirun.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, help: "The index's folder.") var index: String
  @Option(name: .long, help: "The address to listen on.") var host = "127.0.0.1"
  @Option(name: .long, help: "The port; 0 takes one that is free, and prints it.") var port = 8080
  @Option(name: .long, help: "Bytes of an image that is sent.") var maximumBytes = 4 << 20
  @Option(name: .long, help: "Pixels of an image that is sent.") var maximumPixels = 1 << 24
  @Option(name: .long, help: "Searches a second of one client; twice as many may come at once.") var rate = 5.0
  @Option(name: .long, help: "Searches that wait while another runs; more are refused.") var waiting = 8
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    func require(_ option: String, _ value: Int, _ range: ClosedRange<Int>) throws {
      guard range.contains(value) else {
        throw ValidationError("\(option) must be from \(range.lowerBound) to \(range.upperBound)")
      }
    }
    try require("--port", port, 0...65535)
    try require("--maximum-bytes", maximumBytes, 1...(1 << 26))
    try require("--maximum-pixels", maximumPixels, 1...100_000_000)
    try require("--waiting", waiting, 0...1000)
    guard rate > 0, rate <= 1e6 else { throw ValidationError("--rate must be above 0 and at most 1000000") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.agree {
      try communicator.requireAlone("serve is")
      guard GalleryIndex.isAt(index) else {
        throw Failure.usage("--index \(index)", "no index is there (lineup index makes one)")
      }
    }
    let (job, opened) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) { _, _, _ in
      try GalleryIndex(index)
    }
    func serve<E: Element>(_: E.Type) throws {
      let extractor = try job.extractor(E.self), log = job.log
      try job.require(opened, of: extractor)
      let gallery = try Gallery(opened, parallelFor: job.machine.parallelFor)
      var limits = SearchService.Limits()
      (limits.bytes, limits.pixels, limits.rate, limits.waiting) = (maximumBytes, maximumPixels, rate, waiting)
      let isLoopback = ["127.0.0.1", "::1", "localhost"].contains(host.lowercased())
      let service = SearchService(
        gallery, limits, isLoopback: isLoopback, parallelFor: job.machine.parallelFor, log: { log.warning($0) }
      ) { try extractor.features(of: [$0]) { _ in "an image that was sent" }.values }
      let server = try HTTPServer(host: host, port: port, limits: HTTPServer.Limits(), service)
      if !isLoopback { log.warning("--host \(host): other machines can search without a password") }
      let name = host.contains(":") ? "[\(host)]" : host
      log.info("serving \(gallery.samples.count) images at http://\(name):\(server.port)/ until it is interrupted")
      while !StopSignal.isRequested { usleep(50_000) }
      server.stop()
      log.info("stopped")
    }
    try communicator.agree { try serve(job.configuration.precision.storage.element) }
  }
}
