import Collectives
import Dataset
import Evaluation
import Foundation
import Layers
import Network
import Tensors

/// Ranks a data set's gallery for its queries: features extracted and queries ranked in shares of the ranks. Tracks are ranked
/// by the mean of their frames' features.
package enum Evaluator {
  /// What an evaluation found; the same on every rank.
  package struct Outcome: Sendable {
    package let scores: Scores
    /// By `evaluation.metric`.
    package var plain: RankingResult { scores.plain }
    /// After k-reciprocal re-ranking, if configured.
    package var reRanked: RankingResult? { scores[.reRanked] }
    /// Images of this rank's share that could not be decoded and were left out, with the reason.
    package let damaged: [String]
    /// Of all ranks.
    package let damagedQueries: Int, damagedGallery: Int
    package let images: Int
    package let seconds: Double

    /// What to know before the figures are compared with others: lines with counts.
    package var warnings: [String] {
      let damaged = damagedQueries + damagedGallery
      let images = "\(damagedQueries) query and \(damagedGallery) gallery images cannot be decoded and are left out"
      return (damaged > 0 ? [images] : []) + [plain.warning].compactMap { $0 }
    }
  }

  /// - Parameter isStopping: asked now and then; where any rank says so, all throw `ExtractionStopped`.
  /// - Parameter announce: told what re-ranking is going to take.
  /// - Parameter looking: shown the features, a row an image or a track.
  package static func run<E: Element>(
    _ dataset: ReIDDataset, _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>,
    _ configuration: Configuration, _ context: Context<E>, isStopping: () -> Bool = { false },
    announce: (ReRankingEstimate) -> Void = { _ in },
    looking: (_ query: LabelledFeatures, _ gallery: LabelledFeatures) -> Void = { _, _ in }
  ) throws -> Outcome {
    let start = Date()
    let features = try features(of: dataset, network, parameters, configuration, context, isStopping: isStopping)
    var scores = try score(features.query, features.gallery, configuration.evaluation, context, announce)
    if configuration.evaluation.parts {
      let search = PartSearch(dataset, network, parameters, configuration, context)
      scores = scores.adding(
        .parts, try search.rank(features.query, whole: features.gallery, isStopping: isStopping))
    }
    let seconds = Date().timeIntervalSince(start)
    looking(features.query, features.gallery)
    return Outcome(
      scores: scores, damaged: features.damaged,
      damagedQueries: features.damagedQueries, damagedGallery: features.damagedGallery,
      images: features.images, seconds: seconds)
  }

  /// What is ranked; the same on every rank.
  package struct Features: Sendable {
    /// A row an image, or a track, which is called by its first frame.
    package let query: LabelledFeatures, gallery: LabelledFeatures
    /// As of an `Outcome`.
    package let damaged: [String], damagedQueries: Int, damagedGallery: Int, images: Int
  }

  /// Of the images of a data set that can be decoded, most of which have to be.
  package static func features<E: Element>(
    of dataset: ReIDDataset, _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>,
    _ configuration: Configuration, _ context: Context<E>, isStopping: () -> Bool = { false }
  ) throws -> Features {
    let communicator = context.communicator
    let extractor = FeatureExtractor(network, parameters, configuration, context)
    let query = try extractor.extract(dataset.query, isStopping: isStopping)
    let damagedQueries = try requireMost(of: dataset.query, query.samples, "query", communicator)
    let gallery = try extractor.extract(dataset.gallery, isStopping: isStopping)
    let damagedGallery = try requireMost(of: dataset.gallery, gallery.samples, "gallery", communicator)
    let images = query.samples.count + gallery.samples.count
    try requireMemory(images, network, configuration.evaluation, context)
    return try communicator.agree {
      Features(
        query: try labelled("query", query.features, query.samples).meansOfTracks(query.samples.map(\.track)),
        gallery: try labelled("gallery", gallery.features, gallery.samples).meansOfTracks(gallery.samples.map(\.track)),
        damaged: query.damaged + gallery.damaged, damagedQueries: damagedQueries, damagedGallery: damagedGallery,
        images: images)
    }
  }

  /// The figures of a ranking, in shares of all ranks; the same on every rank.
  package static func score<E: Element>(
    _ query: LabelledFeatures, _ gallery: LabelledFeatures, _ settings: Configuration.Evaluation, _ context: Context<E>,
    _ announce: (ReRankingEstimate) -> Void
  ) throws -> Scores {
    try context.communicator.agree { try Scoring.check(query, gallery) }
    return try Scoring.scores(
      query: query, gallery: gallery, try settings.scoring(), shares: RankShares(communicator: context.communicator),
      threads: context.workers.count,
      parallelFor: { count, body in context.workers.parallelFor(count) { index, _ in body(index) } }, announce: announce
    )
  }

  /// Features with the identities and cameras of their samples.
  package static func labelled(_ name: String, _ features: FeatureMatrix, _ samples: [Sample]) throws
    -> LabelledFeatures
  {
    try LabelledFeatures(
      name: name, matrix: features, paths: samples.map(\.path), identities: samples.map(\.identity),
      cameras: samples.map(\.camera))
  }

  /// What ranking takes beside the features that are there, before it is taken.
  private static func requireMemory<E: Element>(
    _ images: Int, _ network: ReIDNetwork<E>, _ settings: Configuration.Evaluation, _ context: Context<E>
  ) throws {
    let columns = network.descriptorLength
    let reRanking =
      try settings.rerank
      ? ReRanking.memoryEstimate(
        images: images, columns: columns, parameters: .init(), threads: context.workers.count) : 0
    // Of all features: as they are and centred; of an expansion both together, the same again, and sums in float64.
    let copies = 2 + (settings.expansion.expansion == nil ? 0 : 6) + (settings.multiQuery ? 4 : 0)
    try HostMemory.require(copies * 4 * images * columns + reRanking, context.communicator)
  }

  /// How many of `samples` are not among `kept`: up to a fifth.
  /// - Throws: on every rank, `Failure.data` where more are damaged.
  private static func requireMost(
    of samples: [Sample], _ kept: [Sample], _ name: String, _ communicator: any Communicator
  ) throws -> Int {
    let damaged = samples.count - kept.count
    return try communicator.agree {
      guard damaged * 5 <= samples.count else {
        throw Failure.data(
          name, "\(damaged) of \(samples.count) images cannot be decoded; figures from the rest would mislead")
      }
      return damaged
    }
  }
}

/// Rows shared out over the ranks of a job.
package struct RankShares: RowShares {
  private let communicator: any Communicator

  package init(communicator: any Communicator) { self.communicator = communicator }

  package func own(_ count: Int) -> Range<Int> { Share.rows(count, communicator) }

  package func gather<T: BitwiseCopyable>(_ own: [T]) throws -> [T] {
    if communicator.size == 1 { return own }
    return Array(try communicator.allgather(own).joined())
  }

  package func sum(_ own: [Double]) throws -> [Double] {
    var sums = own
    try communicator.allreduce(&sums, .sum)
    return sums
  }
}
