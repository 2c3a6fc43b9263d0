import Dataset
import Evaluation
import Layers
import Network
import Tensors

/// The search of part-aware networks ("Attentive Part-Aware Networks for Partial Person Re-Identification", ICPR 2020): a head tells
/// what of the person a query shows, and the query is looked for in the gallery cut to the same.
struct PartSearch<E: Element> {
  private let dataset: ReIDDataset
  private let extractor: FeatureExtractor<E>
  private let head: Int
  private let metric: DistanceMetric
  private let context: Context<E>

  /// - Precondition: `configuration` has a `partHead`.
  init(
    _ dataset: ReIDDataset, _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>,
    _ configuration: Configuration, _ context: Context<E>
  ) {
    (self.dataset, self.context) = (dataset, context)
    (head, metric) = (after("the rules of the configuration", configuration.partHead), configuration.evaluation.metric)
    extractor = FeatureExtractor(network, parameters, configuration, classifying: head, context)
  }

  /// The same on every rank.
  /// - Parameter whole: the gallery as it is.
  func rank(_ query: LabelledFeatures, whole: LabelledFeatures, isStopping: () -> Bool) throws -> RankingResult {
    let communicator = context.communicator, shares = RankShares(communicator: communicator)
    let shown = try parts(isStopping)
    try communicator.agree {
      guard shown.count == query.matrix.rows else {
        throw Failure.data(dataset.root, "some of its queries can be decoded at one time and not at another")
      }
    }
    var totals = RankingTotals()
    for part in BodyPart.allCases {
      let members = shown.indices.filter { shown[$0] == part }
      if members.isEmpty { continue }
      let asked = query.rows(members)
      let gallery = part == .whole ? whole : try rows(of: dataset.gallery, .descriptor(of: part), isStopping)
      let distances = try communicator.agree { try Distances(query: asked, gallery: gallery, metric: metric) }
      totals += Ranking.totals(
        queries: shares.own(members.count), query: asked, gallery: gallery, distances: distances,
        parallelFor: { count, body in context.workers.parallelFor(count) { index, _ in body(index) } })
    }
    let sum = RankingTotals(vector: try shares.sum(totals.vector))
    return try communicator.agree { try sum.result() }
  }

  /// Of each query, or each track by the mean of its frames: the part of the largest logit, of equal ones the first.
  private func parts(_ isStopping: () -> Bool) throws -> [BodyPart] {
    let logits = try rows(of: dataset.query, .logits(head: head), isStopping).matrix
    return (0..<logits.rows).map { row in
      let values = logits.values[row * logits.columns..<(row + 1) * logits.columns]
      let first = after("a head with classes", values.firstIndex(of: values.max()!)) - values.startIndex
      return after("a head of parts", BodyPart(rawValue: first))
    }
  }

  private func rows(of samples: [Sample], _ reading: FeatureExtractor<E>.Reading, _ isStopping: () -> Bool) throws
    -> LabelledFeatures
  {
    let (values, kept, _) = try extractor.extract(samples, reading, isStopping: isStopping)
    return try Evaluator.labelled("part", values, kept).meansOfTracks(kept.map(\.track))
  }
}
