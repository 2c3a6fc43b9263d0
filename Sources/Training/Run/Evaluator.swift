import Collectives
import Dataset
import Evaluation
import Foundation
import Layers
import Network
import Tensors

/// Ranks a data set's gallery for its queries: features extracted and queries ranked in shares of the ranks.
package enum Evaluator {
  /// What an evaluation found; the same on every rank.
  package struct Outcome: Sendable {
    package let plain: RankingResult
    /// After k-reciprocal re-ranking, if configured.
    package let reRanked: RankingResult?
    /// Images of this rank's share that could not be decoded and were left out, with the reason.
    package let damaged: [String]
    package let images: Int
    package let seconds: Double
  }

  package static func run<E: Element>(
    _ dataset: ReIDDataset, _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>,
    _ configuration: Configuration,
    _ context: Context<E>
  ) throws -> Outcome {
    let communicator = context.communicator
    let start = Date()
    let extractor = FeatureExtractor(network, parameters, configuration, context)
    let query = try extractor.extract(dataset.query), gallery = try extractor.extract(dataset.gallery)
    let settings = configuration.evaluation
    let (queryFeatures, galleryFeatures) = try communicator.agree {
      (try labelled("query", query.features, query.samples), try labelled("gallery", gallery.features, gallery.samples))
    }
    let parallelFor: ParallelFor = { count, body in context.workers.parallelFor(count) { index, _ in body(index) } }
    let own = Share.rows(query.samples.count, communicator)

    func result(_ distances: some DistanceRows) throws -> RankingResult {
      var totals = Ranking.totals(
        queries: own, query: queryFeatures, gallery: galleryFeatures, distances: distances, parallelFor: parallelFor
      ).vector
      try communicator.allreduce(&totals, .sum)
      return try communicator.agree { try RankingTotals(vector: totals).result() }
    }
    let plain = try result(
      try communicator.agree { try Distances(query: queryFeatures, gallery: galleryFeatures, metric: settings.metric) })
    let reRanked =
      settings.rerank
      ? try result(
        try communicator.agree {
          try ReRanking(
            query: queryFeatures, gallery: galleryFeatures, metric: settings.metric, parameters: .init(),
            parallelFor: parallelFor)
        })
      : nil
    return Outcome(
      plain: plain, reRanked: reRanked, damaged: query.damaged + gallery.damaged,
      images: query.samples.count + gallery.samples.count, seconds: Date().timeIntervalSince(start))
  }

  /// Features with the identities and cameras of their samples.
  package static func labelled(_ name: String, _ features: FeatureMatrix, _ samples: [Sample]) throws
    -> LabelledFeatures
  {
    try LabelledFeatures(
      name: name, matrix: features, paths: samples.map(\.path), identities: samples.map(\.identity),
      cameras: samples.map(\.camera))
  }
}
