import Collectives
import Dataset
import Evaluation
import Pictures
import Report
import Tensors
import Training

/// What is seen of runs by evaluating their best checkpoints again on a data set.
struct JudgedRuns {
  /// Of one of them.
  struct Judged {
    let name: String, checkpoint: String
    let scores: Scores
  }

  private(set) var runs: [Judged] = []
  /// Of what they were judged on.
  private var names = LabelNames()
  /// Of the first one: markup.
  private(set) var rankings = "", activations = "", pairs = ""

  struct Choice {
    /// Of queries, of the best and the worst ones each, and of the first images of a ranking.
    var queries: Int, top: Int
    /// Of pairs of each kind.
    var pairs: Int { 2 * queries }
  }

  /// Evaluates, on all ranks.
  mutating func add<E: Element>(
    _ name: String, _ job: CheckpointedJob, _ dataset: ReIDDataset, _ choice: Choice, _: E.Type
  ) throws {
    var configuration = job.configuration
    configuration.evaluation.cameraPairs = true
    let (machine, communicator) = (job.machine, job.machine.communicator)
    let (network, parameters) = try communicator.agree { try job.checkpoint.network(E.self) }
    let context = machine.context(E.self, configuration)
    let features = try job.features {
      try Evaluator.features(of: dataset, network, parameters, configuration, context)
    }
    for reason in features.damaged { job.log.warning("left out: \(reason)") }
    let scores = try Evaluator.score(
      features.query, features.gallery, configuration.evaluation, context, job.log.announce)
    try communicator.onRank0 {
      let isFirst = runs.isEmpty
      names = dataset.names
      runs.append(Judged(name: name, checkpoint: job.checkpoint.folder, scores: scores))
      guard isFirst else { return }
      let ranked = try QueryRankings(dataset, features, configuration, machine)
      let best = try ranked.section(named: name, .even(choice.queries), count: choice.top, say: job.log.warning)
      let worst = try ranked.section(named: name, .worst(choice.queries), count: choice.top, say: job.log.warning)
      rankings = HTML.paragraph(best.remark, class: "muted") + (try best.rows.map(ImageFigures.ranking)).joined()
      rankings += HTML.element("h3", [], "Queries of lowest AP") + (try worst.rows.map(ImageFigures.ranking)).joined()
      pairs = try pairs(dataset, features, configuration, machine, choice, job.log)
      let maps = Activations(network, parameters, configuration, context)
      let shown = try ranked.rows(.even(min(choice.queries, 4))).map { features.query.paths[$0] }
      let samples = Dictionary(dataset.query.map { ($0.path, $0) }) { first, _ in first }
      activations = try shown.compactMap { samples[$0] }.map { try ImageFigures.activations(try maps.row(of: $0)) }
        .joined()
    }
  }

  private func pairs(
    _ dataset: ReIDDataset, _ features: Evaluator.Features, _ configuration: Configuration, _ machine: Machine,
    _ choice: Choice, _ log: RunLog
  ) throws -> String {
    let (query, gallery) = (features.query, features.gallery)
    let distances = try Distances(query: query, gallery: gallery, metric: configuration.evaluation.metric)
    let (alike, unlike) = Ranking.hardPairs(
      choice.pairs, query: query, gallery: gallery, distances: distances, parallelFor: machine.parallelFor)
    var pictures = SamplePictures(
      dataset.query + dataset.gallery, configuration, width: 96, height: 96 * configuration.aspect)
    func entry(_ features: LabelledFeatures, _ row: Int, _ what: String) -> RankingSheet.Entry {
      let identity = "identity \(dataset.names.shownIdentity(features.identities[row]))", words = "\(what), \(identity)"
      return RankingSheet.Entry(
        pictures.picture(features.paths[row], label: words), .plain,
        [identity, "camera \(dataset.names.shownCamera(features.cameras[row]))"])
    }
    func list(_ pairs: [HardPair]) throws -> String {
      let items = try pairs.map { pair in
        try ImageFigures.pair(
          entry(query, pair.query, "query"), entry(gallery, pair.gallery, "gallery"),
          "distance \(QueryRankings.shown(pair.distance))")
      }
      return HTML.element("ul", [("class", "pairs")], items.joined())
    }
    let text =
      HTML.element("h3", [], "Two identities, taken for one: the nearest of other identities") + (try list(alike))
      + HTML.element("h3", [], "One identity, taken for two: the farthest of the same identity") + (try list(unlike))
    for reason in pictures.damaged { log.warning("not drawn: \(reason)") }
    return text
  }

  /// mAP and rank-1 of the queries of one camera in the images of another, of each run.
  var cameras: String {
    let pairs = runs.map { $0.scores.cameraPairs ?? [] }
    let keys = Set(pairs.joined().map { [$0.queryCamera, $0.galleryCamera] }).sorted {
      $0.lexicographicallyPrecedes($1)
    }
    guard !keys.isEmpty else { return "" }
    let rows = keys.prefix(400).map { key in
      (
        name: "camera \(names.shownCamera(key[0])) in camera \(names.shownCamera(key[1]))",
        cells: pairs.map { pairs in
          guard let pair = pairs.first(where: { $0.queryCamera == key[0] && $0.galleryCamera == key[1] }) else {
            return "–"
          }
          return RunTables.percent([pair.mAP]) + " / " + RunTables.percent([pair.rank1]) + " (\(pair.queries))"
        }
      )
    }
    return HTML.table(
      "mAP / Rank-1 in %, and queries with a match there", header: ["query in gallery"] + runs.map(\.name), rows: rows)
  }
}
