import Dataset
import Evaluation
import Foundation
import Pictures
import Storage
import Tensors
import Training

/// Which queries are shown.
enum QueryChoice {
  /// So many, evenly spread over those that have a match.
  case even(Int)
  /// So many, drawn.
  case drawn(Int, seed: UInt64)
  /// Those of lowest average precision, the lowest first.
  case worst(Int)
  /// By the paths or names of their files.
  case named([String])

  var words: String {
    switch self {
    case .even(let count): "\(count) queries, evenly spread"
    case .drawn(let count, let seed): "\(count) queries, drawn with seed \(seed)"
    case .worst(let count): "the \(count) queries of lowest AP"
    case .named: "queries that were asked for"
    }
  }
}

/// The rankings of a data set's queries as rows of pictures, as `lineup evaluate` ranks: by `evaluation.metric`, re-ranked with
/// `evaluation.rerank`.
struct QueryRankings {
  private let dataset: ReIDDataset, query: LabelledFeatures, gallery: LabelledFeatures
  private let configuration: Configuration, parallelFor: ParallelFor
  private let distances: any DistanceRows
  /// nil of a query without a match.
  private let averagePrecisions: [Double?]

  /// - Throws: `Failure.data` where no query has a match.
  init(_ dataset: ReIDDataset, _ features: Evaluator.Features, _ configuration: Configuration, _ machine: Machine)
    throws
  {
    (self.dataset, query, gallery, self.configuration) = (dataset, features.query, features.gallery, configuration)
    parallelFor = machine.parallelFor
    try Scoring.check(query, gallery)
    let metric = configuration.evaluation.metric
    if let settings = try configuration.evaluation.scoring().reRanking {
      distances = try ReRanking(
        query: query, gallery: gallery, metric: metric, parameters: settings, shares: WholeShare(),
        parallelFor: parallelFor)
    } else {
      distances = try Distances(query: query, gallery: gallery, metric: metric)
    }
    averagePrecisions = Ranking.averagePrecisions(
      query: query, gallery: gallery, distances: distances, parallelFor: parallelFor)
  }

  /// A section of a sheet.
  /// - Parameters:
  ///   - count: of the first images of each ranking.
  ///   - say: a line of an image that cannot be read any more.
  func section(named name: String, _ choice: QueryChoice, count: Int, say: (String) -> Void) throws
    -> RankingSheet.Section
  {
    let rows = try rows(choice)
    let lists = Ranking.lists(
      of: rows, count: count, query: query, gallery: gallery, distances: distances, parallelFor: parallelFor)
    let layout = CellLayout(aspect: configuration.aspect, lines: 3)
    var pictures = SamplePictures(
      dataset.query + dataset.gallery, configuration, width: layout.width, height: layout.height)
    let drawn = lists.map { row(of: $0, &pictures) }
    for reason in pictures.damaged { say("not drawn: \(reason)") }
    let judged = averagePrecisions.compactMap { $0 }, mean = judged.reduce(0, +) / Double(judged.count)
    let settings = configuration.evaluation
    let order = "\(settings.metric) distance\(settings.rerank ? ", re-ranked" : "")"
    let isOfTracks = (dataset.query + dataset.gallery).contains { $0.track != nil }
    return RankingSheet.Section(
      name,
      String(format: "mAP %.1f %% of %d queries by %@; ", 100 * mean, judged.count, order) + choice.words
        + (isOfTracks ? "; tracks are shown by their first frames" : ""), drawn)
  }

  /// Rows of the queries.
  func rows(_ choice: QueryChoice) throws -> [Int] {
    let judged = averagePrecisions.indices.filter { averagePrecisions[$0] != nil }
    switch choice {
    case .even(let count): return judged.evenly(count)
    case .drawn(let count, let seed):
      var random = CounterRandom(seed: seed, purpose: .evaluation), drawn = judged
      random.shuffle(&drawn)
      return drawn.prefix(count).sorted()
    case .worst(let count):
      return Array(judged.sorted { (averagePrecisions[$0]!, $0) < (averagePrecisions[$1]!, $1) }.prefix(count))
    case .named(let names): return try names.map(row)
    }
  }

  private func row(of name: String) throws -> Int {
    let file = FileIdentity(name)
    let found = query.paths.indices.filter { row in
      query.paths[row] == name || query.paths[row].hasSuffix("/" + name)
        || file != nil && FileIdentity(query.paths[row]) == file
    }
    guard let first = found.first else {
      let isDamaged = dataset.query.contains { $0.path == name || $0.path.hasSuffix("/" + name) }
      let reason =
        isDamaged
        ? "is no row of the ranking: it cannot be decoded, or is a further frame of a track"
        : "is no query of \(dataset.root)"
      throw Failure.data("--query \(Printable.line(name))", reason)
    }
    guard found.count == 1 else {
      throw Failure.usage(
        "--query \(Printable.line(name))",
        "stands for \(found.count) queries, such as \(query.paths[found[0]]) and \(query.paths[found[1]])")
    }
    return first
  }

  private func row(of list: RankedList, _ pictures: inout SamplePictures) -> RankingSheet.Row {
    let path = query.paths[list.query], cameras = areCamerasTold, names = dataset.names
    func captions(_ first: String, _ features: LabelledFeatures, _ row: Int) -> [String] {
      [first, "identity \(names.shownIdentity(features.identities[row]))"]
        + (cameras ? ["camera \(names.shownCamera(features.cameras[row]))"] : [])
    }
    let entries = list.images.enumerated().map { position, image in
      let words = "rank \(position + 1)", state = image.isMatch ? "right" : "wrong"
      return RankingSheet.Entry(
        pictures.picture(
          gallery.paths[image.row],
          label: "\(words), identity \(names.shownIdentity(gallery.identities[image.row])), \(state)"),
        image.isMatch ? .right : .wrong,
        captions("\(words) · \(Self.shown(image.distance))", gallery, image.row))
    }
    let asked = RankingSheet.Entry(
      pictures.picture(path, label: "query, identity \(names.shownIdentity(query.identities[list.query]))"), .query,
      captions("query", query, list.query))
    return RankingSheet.Row(ShownName.last(path), Self.remark(of: list), query: asked, images: entries)
  }

  /// Where the data set has none, each image is its own.
  private var areCamerasTold: Bool {
    Set(query.cameras + gallery.cameras).count < query.cameras.count + gallery.cameras.count
  }

  private static func remark(of list: RankedList) -> String {
    guard let precision = list.averagePrecision, let first = list.matchRanks.first, let last = list.matchRanks.last
    else {
      return "no match in the gallery, so in no figure"
    }
    let count = list.matchRanks.count
    let places = count == 1 ? "one match, at rank \(first)" : "\(count) matches, from rank \(first) to \(last)"
    return String(format: "AP %.1f %% · %@", 100 * precision, places)
  }

  static func shown(_ distance: Double) -> String {
    String(format: distance < 10 ? "%.3f" : distance < 1000 ? "%.1f" : "%.0f", distance)
  }
}
