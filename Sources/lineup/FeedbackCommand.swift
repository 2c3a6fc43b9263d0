import ArgumentParser
import Collectives
import Evaluation
import Storage
import Training

/// How much an operator's answers gain.
struct FeedbackCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "feedback",
    abstract: "CMC and mAP while an operator labels the first images of each ranking, round after round.",
    discussion:
      "The operator is simulated by the identities of Q.npy and G.npy (with a .csv beside it each, as for score). In a round "
      + "each query gets --labels labels; relevant images then go first, non-relevant ones last, and a method ranks the rest. "
      + "Round 0 is the ranking before. The methods take vectors for directions, hence the cosine, unless --metric says "
      + "otherwise. docs/systems.md has the equations.")

  @OptionGroup var features: FeatureOptions
  @Option(name: .long, help: "euclidean or cosine.") var metric: DistanceMetric = .cosine
  @Option(
    name: .customLong("method"), parsing: .singleValue,
    help: ArgumentHelp(
      "queryShift, relevanceScore or passiveAggressive; several in turn (default: all).", valueName: "method"))
  var methods: [FeedbackMethod] = []
  @Option(name: .long, help: "Rounds.") var rounds = 5
  @Option(name: .long, help: "Labels of a query and round.") var labels = 10
  @Option(name: .long, help: "With queryShift, the weight of the mean of relevant images.") var beta = 0.75
  @Option(name: .long, help: "With queryShift, the weight of the mean of non-relevant images.") var gamma = 0.25
  @Option(name: .long, help: "With passiveAggressive, the longest step C.") var aggressiveness = 1.0
  @Option(name: .long, help: "Write the metrics here too, as one JSON object: a list of rounds for each method.")
  var json: String?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let log = try RunLog(rank: communicator.rank, level: .info)
    try communicator.onRank0 {
      let feedback = try Feedback(
        rounds: rounds, labels: labels, beta: beta, gamma: gamma, aggressiveness: aggressiveness)
      if let json { try Destination("--json", json).requireFile(besides: features.paths) }
      let machine = try Machine(SoloCommunicator(), threads: 0)
      let queries = try FeatureFiles.read(features.query),
        images = try FeatureFiles.read(features.gallery).withoutJunk()
      if metric == .cosine { try Ranking.requireDirections(queries, images) }
      try Scoring.check(queries, images)
      var results: [String: [RankingResult]] = [:]
      for method in FeedbackMethod.allCases where methods.isEmpty || methods.contains(method) {
        let found = try feedback.results(
          query: queries, gallery: images, metric: metric, method: method, parallelFor: machine.parallelFor)
        if results.isEmpty, let warning = found[0].warning { log.warning(warning) }
        let rows = found.enumerated().map { ("\(metric), \(method), round \($0.offset)", $0.element) }
        for line in RankingResult.table(rows) { log.info(line) }
        results[method.rawValue] = found
      }
      try log.requireDelivered()
      if let json { try AtomicFiles.write(json: results, to: json) }
    }
  }
}

extension FeedbackMethod: ExpressibleByArgument {}
