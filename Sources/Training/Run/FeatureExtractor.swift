import Collectives
import Dataset
import Evaluation
import Layers
import Network
import Tensors

/// Features that are not finite: the parameters they come from are of no use. Thrown on every rank alike.
package struct NonfiniteFeatures: Error, CustomStringConvertible {
  /// The first image that has some.
  let image: String

  package var description: String { "the features of \(image) are not finite" }
}

/// Embeddings of images by a trained network, the images shared out over ranks.
package struct FeatureExtractor<E: Element> {
  private let network: ReIDNetwork<E>
  private let parameters: Parameters<E.Accumulator>
  private let configuration: Configuration
  private let context: Context<E>

  /// The length of a feature.
  package var columns: Int { network.descriptorLength }

  /// Packs the network's weights for evaluation.
  package init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>, _ configuration: Configuration,
    _ context: Context<E>
  ) {
    self.network = network
    self.parameters = parameters
    self.configuration = configuration
    self.context = context
    network.pack(parameters, training: false, context)
  }

  /// The features of all samples, on every rank, and the samples they belong to: images that cannot be decoded are left
  /// out and named in `damaged`, or an error, as `data.damaged` says. With `evaluation.flip` a feature is the mean of
  /// those of the image and of its mirror image.
  /// - Parameter isStopping: asked after every batch; where any rank says so, all throw `ExtractionStopped`.
  /// - Throws: `NonfiniteFeatures` too.
  package func extract(_ samples: [Sample], isStopping: () -> Bool = { false }) throws -> (
    features: FeatureMatrix, samples: [Sample], damaged: [String]
  ) {
    let communicator = context.communicator, batch = configuration.evaluation.batch
    let own = Share.rows(samples.count, communicator), first = own.lowerBound
    let share = Extraction(self, Array(samples[own]))
    defer { share.close() }
    let longest = (0..<communicator.size).map { Share.rows(samples.count, rank: $0, of: communicator.size).count }
      .max()!
    var failure: (any Error)?
    // Ranks have different numbers of batches, and take part in every look round.
    for _ in 0..<(longest + batch - 1) / batch {
      do {
        if failure == nil { try share.advance() }
      } catch {
        failure = error
      }
      var flags = [isStopping() ? 1.0 : 0, failure == nil ? 0 : 1]
      try communicator.allreduce(&flags, .max)
      if flags[1] > 0 { break }
      if flags[0] > 0 { throw ExtractionStopped() }
    }
    try communicator.agree { if let failure { throw failure } }
    let all = try communicator.allgather(share.values)
    let kept = try communicator.allgather(share.rows.map { Int32($0 + first) }).joined().map { samples[Int($0)] }
    let features = FeatureMatrix(
      rows: kept.count, columns: network.descriptorLength, values: Array(all.joined()))
    if let row = features.firstNonFiniteRow() { throw NonfiniteFeatures(image: kept[row].path) }
    return (features, kept, share.damaged)
  }

  /// The features of images that are in no file, as `extract` has them: with `data.faces.test`, which wants to know where faces
  /// are, it is not for this. One rank alone.
  /// - Parameter names: of the images.
  /// - Throws: `NonfiniteFeatures`.
  package func features(of images: [RGBImage], named names: (Int) -> String) throws -> FeatureMatrix {
    var values: [Float] = []
    for first in stride(from: 0, to: images.count, by: configuration.evaluation.batch) {
      let part = images[first..<min(images.count, first + configuration.evaluation.batch)]
      let pixels = part.flatMap { transforms.evaluation($0) }
      var features = try embed(pixels, height: transforms.height, width: transforms.width)
      if configuration.evaluation.flip {
        var mirrored = pixels
        Mirror.rows(&mirrored, width: transforms.width)
        features = zip(features, try embed(mirrored, height: transforms.height, width: transforms.width)).map {
          ($0 + $1) / 2
        }
      }
      values += features
    }
    _ = context.workers.timeline.take()
    let features = FeatureMatrix(rows: images.count, columns: network.descriptorLength, values: values)
    if let row = features.firstNonFiniteRow() { throw NonfiniteFeatures(image: names(row)) }
    return features
  }

  /// The share of one rank, batch by batch.
  private final class Extraction {
    /// (rows.count, embedding), and the indices of their samples in the share.
    private(set) var values: [Float] = [], rows: [Int] = [], damaged: [String] = []
    private let extractor: FeatureExtractor
    private let samples: [Sample]
    private let loader: BatchLoader
    private let passes: [Bool]
    private let batch: Int
    /// The first samples of the batch that is next, and of the one that is to be submitted next.
    private var next = 0, submitted = 0

    init(_ extractor: FeatureExtractor, _ samples: [Sample]) {
      (self.extractor, self.samples) = (extractor, samples)
      let configuration = extractor.configuration
      loader = BatchLoader(threads: configuration.data.loaderThreads, seed: configuration.seed)
      passes = configuration.evaluation.flip ? [false, true] : [false]
      batch = configuration.evaluation.batch
      for _ in 0..<2 { submit() }
    }

    func close() { loader.close() }

    private func submit() {
      guard submitted < samples.count else { return }
      let part = samples[submitted..<min(samples.count, submitted + batch)]
      for flip in passes { loader.submit(extractor.request(part, flip)) }
      submitted += batch
    }

    /// One batch further; nothing happens after the last.
    func advance() throws {
      guard next < samples.count else { return }
      var sums: [Float] = []
      for flip in passes {
        let images = try loader.next()
        if flip == passes.last { submit() }
        let embeddings = try extractor.embed(images)
        sums = sums.isEmpty ? embeddings : zip(sums, embeddings).map { ($0 + $1) / 2 }
        guard flip == passes.last else { continue }
        rows += images.rows.map { next + $0 }
        damaged += images.damaged.map(\.reason)
      }
      values += sums
      next += batch
      _ = extractor.context.workers.timeline.take()  // nobody asks for the spans of an evaluation
    }
  }

  private var transforms: Transforms { configuration.evaluationTransforms }

  private func request(_ samples: ArraySlice<Sample>, _ flip: Bool) -> BatchRequest {
    BatchRequest(
      samples: Array(samples), transforms: transforms, flipAll: flip,
      onDamage: configuration.data.damaged == .skip ? .skip : .fail)
  }

  private func embed(_ batch: ImageBatch) throws -> [Float] {
    batch.samples.isEmpty ? [] : try embed(batch.pixels, height: batch.height, width: batch.width)
  }

  private func embed(_ pixels: [UInt8], height: Int, width: Int) throws -> [Float] {
    let images: Tensor<E> = InputNormalization.forward(pixels, height: height, width: width, context)
    return try network.embed(images, parameters, context).array.map { Float($0) }
  }
}

/// Some rank was asked to stop; thrown on every rank alike.
package struct ExtractionStopped: Error {}
