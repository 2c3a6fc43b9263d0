import ArgumentParser
import Collectives
import Evaluation
import Tensors
import Training

/// The metrics of features from any tool.
struct Score: RankCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "CMC and mAP of features from any tool: Q.npy and G.npy, each with its .csv (path,identity,camera) beside it.")

  @OptionGroup var features: FeatureOptions
  @Option(name: .long, help: "euclidean or cosine.") var metric: DistanceMetric = .euclidean
  @Flag(name: .long, help: "After k-reciprocal re-ranking; the file then has the metrics before it as `plain`.")
  var rerank = false
  @Flag(name: .long, help: "Also of features that are weighted means of their neighbours (average query expansion).")
  var expand = false
  @Option(name: .long, help: "With --expand, the images of a mean, itself among them (default: 10).")
  var expandNeighbours: Int?
  @Option(name: .long, help: "With --expand, the power of the cosine that is the weight of an image (default: 3).")
  var expandAlpha: Double?
  @Flag(name: .long, help: "Also with queries that are means of all images of their identity and camera.")
  var multiQuery = false
  @Flag(name: .long, help: "Also the CMC of a gallery with one image of each identity, drawn 10 times.")
  var singleShot = false
  @Flag(
    name: .long, help: "Also the share of pairs of one person that pass where 1e-4, 1e-3 and 1e-2 of the others do.")
  var verification = false
  @Flag(name: .long, help: "Also mAP and rank-1 by the query's and the gallery's camera.") var cameraPairs = false
  @Flag(
    name: .long,
    help: "Also with the first 100 of each ranking ordered by binary features under a mask a gallery image.")
  var masks = false
  @Option(name: .long, help: "With --masks, the neighbours that a gallery image's mask tells it from (default: 20).")
  var maskNeighbours: Int?
  @Option(name: .long, help: "With --masks, the bits of a mask (default: half of the features' elements).")
  var maskBits: Int?
  @Option(
    name: .long,
    help: ArgumentHelp(
      "With --masks, features (.npy) whose medians make bits of features, those of the training images (default: --gallery).",
      valueName: "file"))
  var maskTraining: String?
  @Option(name: .long, help: "Write the metrics here too, as one JSON object.") var json: String?

  func validate() throws {
    func require(_ flag: String, _ isGiven: Bool, _ options: KeyValuePairs<String, Bool>) throws {
      guard !isGiven, let option = options.first(where: { $0.value }) else { return }
      throw ValidationError("\(option.key) goes with \(flag)")
    }
    try require(
      "--expand", expand, ["--expand-neighbours": expandNeighbours != nil, "--expand-alpha": expandAlpha != nil])
    try require(
      "--masks", masks,
      [
        "--mask-neighbours": maskNeighbours != nil, "--mask-bits": maskBits != nil,
        "--mask-training": maskTraining != nil,
      ])
  }

  /// - Parameter columns: of the features that are ranked.
  private func options(columns: Int) throws -> ScoringOptions {
    var options = ScoringOptions()
    options.metric = metric
    options.reRanking = rerank ? try .init() : nil
    if expand { options.expansion = try .init(neighbours: expandNeighbours ?? 10, alpha: expandAlpha ?? 3) }
    (options.multiQuery, options.singleShot) = (multiQuery, singleShot)
    (options.verification, options.cameraPairs) = (verification, cameraPairs)
    if masks {
      let thresholds = try maskTraining.map { path in
        let training = try FeatureFiles.matrix(path)
        guard training.rows > 0 else { throw Failure.data(path, "holds no features") }
        guard training.columns == columns else {
          throw Failure.data(
            path, "its features have \(training.columns) elements, those of \(features.gallery) \(columns)")
        }
        return training.medians()
      }
      options.masks = try .init(neighbours: maskNeighbours ?? 20, bits: maskBits, thresholds: thresholds)
    }
    return options
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let log = try RunLog(rank: communicator.rank, level: .info)
    try communicator.onRank0 {
      if let json {
        try Destination("--json", json).requireFile(besides: features.paths + [maskTraining])
      }
      let machine = try Machine(SoloCommunicator(), threads: 0)
      // As `evaluate` has it: junk is not even a neighbour.
      let queries = try FeatureFiles.read(features.query),
        images = try FeatureFiles.read(features.gallery).withoutJunk()
      let options = try options(columns: images.matrix.columns)
      if metric == .cosine { try Ranking.requireDirections(queries, images) }
      try Scoring.check(queries, images)
      try options.masks?.check(images)
      let scores = try Scoring.scores(
        query: queries, gallery: images, options, threads: machine.workers.count, parallelFor: machine.parallelFor,
        announce: log.announce)
      if let warning = scores.plain.warning { log.warning(warning) }
      log.result(scores)
      try log.requireDelivered()
      if let json {
        let reRanked = scores[.reRanked]
        let metrics = MetricsFile(scores, reRanked ?? scores.plain, plain: reRanked == nil ? nil : scores.plain)
        try MetricsFile.write([("features", metrics)], to: json)
      }
    }
  }
}

extension DistanceMetric: ExpressibleByArgument {}
