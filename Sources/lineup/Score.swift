import ArgumentParser
import Collectives
import Evaluation
import Training

/// The metrics of features from any tool.
struct Score: RankCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "CMC and mAP of features from any tool: Q.npy and G.npy, each with its .csv (path,identity,camera) beside it.")

  @Option(name: .long, help: "Features of the queries (.npy).") var query: String
  @Option(name: .long, help: "Features of the gallery (.npy).") var gallery: String
  @Option(name: .long, help: "euclidean or cosine.") var metric: DistanceMetric = .euclidean
  @Flag(name: .long, help: "After k-reciprocal re-ranking; the file then has the metrics before it as `plain`.")
  var rerank = false
  @Option(name: .long, help: "Write the metrics here too, as one JSON object.") var json: String?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let log = try RunLog(rank: communicator.rank, level: .info)
    try communicator.onRank0 {
      if let json {
        let inputs = [query, gallery].flatMap { [$0, FeatureFiles.labelPath(of: $0)] }
        try Destination("--json", json).requireFile(besides: inputs)
      }
      let machine = try Machine(SoloCommunicator(), threads: 0)
      let parallelFor: ParallelFor = { count, body in machine.workers.parallelFor(count) { index, _ in body(index) } }
      // As `evaluate` has it: junk is not even a neighbour.
      let queries = try FeatureFiles.read(query), images = try FeatureFiles.read(gallery).withoutJunk()
      let plain = try Ranking.score(query: queries, gallery: images, metric: metric, parallelFor: parallelFor)
      if let warning = plain.warning { log.warning(warning) }
      log.result(plain)
      var reRanked: RankingResult?
      if rerank {
        reRanked = try Ranking.score(
          query: queries, gallery: images, metric: metric, reRanking: .init(), parallelFor: parallelFor)
        log.info("re-ranked:")
        log.result(reRanked!)
      }
      try log.requireDelivered()
      if let json { try MetricsFile.write(reRanked ?? plain, plain: reRanked == nil ? nil : plain, to: json) }
    }
  }
}

extension DistanceMetric: ExpressibleByArgument {}
