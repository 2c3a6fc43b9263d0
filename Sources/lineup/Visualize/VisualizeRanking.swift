import ArgumentParser
import Collectives
import Dataset
import Pictures
import Storage
import Tensors
import Training

/// Queries and the first images of their rankings.
struct VisualizeRanking: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "ranking",
    abstract: "Draw queries with the first images of their rankings, right and wrong ones framed.",
    discussion:
      "Ranked as `lineup evaluate` does: gallery images of the query's identity and camera are left out, and so are images "
      + "that cannot be decoded. evaluation.metric, evaluation.flip and evaluation.rerank count. Under mpirun, on all ranks."
  )

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @OptionGroup var data: DataOptions
  @OptionGroup var picture: PictureOptions
  @Option(name: .long, help: "How many queries of each data set, evenly spread over those with a match.") var queries:
    Int?
  @Option(
    name: .long, parsing: .upToNextOption,
    help: ArgumentHelp("These queries: the paths or names of their files.", valueName: "file")) var query: [String] = []
  @Flag(name: .long, help: "The queries of lowest average precision, the lowest first.") var worst = false
  @Option(name: .long, help: "Draw the queries with this seed, in place of evenly spread ones.") var seed: UInt64?
  @Option(name: .long, help: "How many images of each ranking.") var top = 10
  @OptionGroup var options: ConfigurationOptions

  private static let usualQueries = 8
  /// Each may take 200 KB.
  private static let mostImages = 2000

  func validate() throws {
    guard (1...200).contains(queries ?? 1) else { throw ValidationError("--queries must be from 1 to 200") }
    guard (1...50).contains(top) else { throw ValidationError("--top must be from 1 to 50") }
    guard query.count <= 200 else { throw ValidationError("--query: \(query.count) files; 200 are drawn at most") }
    let rows = query.isEmpty ? queries ?? Self.usualQueries : query.count
    guard rows * top * data.paths.count <= Self.mostImages else {
      throw ValidationError("\(rows * top * data.paths.count) images; \(Self.mostImages) are drawn at most")
    }
    if query.contains("") { throw ValidationError("--query: the path of a file is missing") }
    let ways = [(!query.isEmpty, "--query"), (worst, "--worst"), (seed != nil, "--seed")].filter(\.0).map(\.1)
    if ways.count > 1 { throw ValidationError("\(ways[0]) and \(ways[1]) cannot both say which queries") }
    if !query.isEmpty && queries != nil { throw ValidationError("--query and --queries cannot both say which queries") }
    if !query.isEmpty && data.paths.count > 1 { throw ValidationError("--query takes a single --data") }
  }

  private var choice: QueryChoice {
    let count = queries ?? Self.usualQueries
    if !query.isEmpty { return .named(query) }
    if worst { return .worst(count) }
    return seed.map { .drawn(count, seed: $0) } ?? .even(count)
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 { try picture.require(besides: data.paths + [options.config]) }
    let (job, sets) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) {
      configuration, _, agreement in
      try data.openTests(configuration, &agreement, watchdog, besides: [picture.destination])
    }
    let (configuration, machine, log) = (job.configuration, job.machine, job.log)
    func draw<E: Element>(_: E.Type) throws {
      let (network, parameters) = try communicator.agree { try job.checkpoint.network(E.self) }
      var sections: [RankingSheet.Section] = []
      for (name, dataset) in zip(RunData([], tests: sets).names, sets) {
        let features = try job.features {
          try Evaluator.features(
            of: dataset, network, parameters, configuration, machine.context(E.self, configuration))
        }
        for reason in features.damaged { log.warning("left out: \(reason)") }
        try communicator.onRank0 {
          let rankings = try QueryRankings(dataset, features, configuration, machine)
          sections.append(
            try rankings.section(named: Printable.line(name, limit: 120), choice, count: top, say: log.warning))
        }
      }
      try communicator.onRank0 {
        let title = "Rankings by \(ShownName.checkpoint(job.checkpoint.folder))"
        try picture.write(RankingSheet(title, sections, aspect: configuration.aspect).drawing())
        let count = sections.reduce(0) { $0 + $1.rows.count }
        log.info("\(picture.output): \(count) \(count == 1 ? "query" : "queries"), up to \(top) images each")
      }
    }
    try draw(configuration.precision.storage.element)
  }
}
