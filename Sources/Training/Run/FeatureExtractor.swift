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
  /// What is read of an image.
  package enum Reading: Sendable {
    /// What it is retrieved by, of this part of the person.
    case descriptor(of: BodyPart)
    /// The logits of a head.
    case logits(head: Int)
  }

  private let network: ReIDNetwork<E>
  private let parameters: Parameters<E.Accumulator>
  private let configuration: Configuration
  private let context: Context<E>

  /// The length of a feature.
  package var columns: Int { columns(.descriptor(of: .whole)) }

  private func columns(_ reading: Reading) -> Int {
    switch reading {
    case .descriptor: network.descriptorLength
    case .logits(let head): network.heads[head].classes
    }
  }

  /// Packs the network's weights for evaluation.
  /// - Parameter head: one whose logits can be read too.
  package init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>, _ configuration: Configuration,
    classifying head: Int? = nil, _ context: Context<E>
  ) {
    self.network = network
    self.parameters = parameters
    self.configuration = configuration
    self.context = context
    if let head {
      network.packToClassify(parameters, head: head, context)
    } else {
      network.pack(parameters, training: false, context)
    }
  }

  /// What is read of all samples, on every rank, and the samples it belongs to: images that cannot be decoded are left
  /// out and named in `damaged`, or an error, as `data.damaged` says. With `evaluation.flip` it is the mean of
  /// what is read of the image and of its mirror image.
  /// - Parameter isStopping: asked after every batch; where any rank says so, all throw `ExtractionStopped`.
  /// - Throws: `NonfiniteFeatures` too.
  package func extract(
    _ samples: [Sample], _ reading: Reading = .descriptor(of: .whole), isStopping: () -> Bool = { false }
  ) throws -> (features: FeatureMatrix, samples: [Sample], damaged: [String]) {
    let communicator = context.communicator, batch = configuration.evaluation.batch
    let own = Share.rows(samples.count, communicator), first = own.lowerBound
    let share = Extraction(self, Array(samples[own]), reading)
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
    let features = FeatureMatrix(rows: kept.count, columns: columns(reading), values: Array(all.joined()))
    if let row = features.firstNonFiniteRow() { throw NonfiniteFeatures(image: kept[row].path) }
    return (features, kept, share.damaged)
  }

  /// The features of images that are in no file, as `extract` has them: with `data.faces.test`, which wants to know where faces
  /// are, it is not for this. One rank alone.
  /// - Parameter names: of the images.
  /// - Throws: `NonfiniteFeatures`.
  package func features(of images: [RGBImage], named names: (Int) -> String) throws -> FeatureMatrix {
    var all: [Float] = []
    for first in stride(from: 0, to: images.count, by: configuration.evaluation.batch) {
      let part = images[first..<min(images.count, first + configuration.evaluation.batch)]
      let transforms = configuration.evaluationTransforms, pixels = part.flatMap { transforms.evaluation($0) }
      func values(_ pixels: [UInt8]) throws -> [Float] {
        try self.values(pixels, height: transforms.height, width: transforms.width, .descriptor(of: .whole))
      }
      var features = try values(pixels)
      if configuration.evaluation.flip {
        var mirrored = pixels
        Mirror.rows(&mirrored, width: transforms.width)
        features = zip(features, try values(mirrored)).map { ($0 + $1) / 2 }
      }
      all += features
    }
    _ = context.workers.timeline.take()
    let features = FeatureMatrix(rows: images.count, columns: columns, values: all)
    if let row = features.firstNonFiniteRow() { throw NonfiniteFeatures(image: names(row)) }
    return features
  }

  /// The share of one rank, batch by batch.
  private final class Extraction {
    /// (rows.count, embedding), and the indices of their samples in the share.
    private(set) var values: [Float] = [], rows: [Int] = [], damaged: [String] = []
    private let extractor: FeatureExtractor
    private let samples: [Sample]
    private let reading: Reading
    private let loader: BatchLoader
    private let passes: [Bool]
    private let batch: Int
    /// The first samples of the batch that is next, and of the one that is to be submitted next.
    private var next = 0, submitted = 0

    init(_ extractor: FeatureExtractor, _ samples: [Sample], _ reading: Reading) {
      (self.extractor, self.samples, self.reading) = (extractor, samples, reading)
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
      for flip in passes { loader.submit(extractor.request(part, reading, flip)) }
      submitted += batch
    }

    /// One batch further; nothing happens after the last.
    func advance() throws {
      guard next < samples.count else { return }
      var sums: [Float] = []
      for flip in passes {
        let images = try loader.next()
        if flip == passes.last { submit() }
        let values = try extractor.values(images, reading)
        sums = sums.isEmpty ? values : zip(sums, values).map { ($0 + $1) / 2 }
        guard flip == passes.last else { continue }
        rows += images.rows.map { next + $0 }
        damaged += images.damaged.map(\.reason)
      }
      values += sums
      next += batch
      _ = extractor.context.workers.timeline.take()  // nobody asks for the spans of an evaluation
    }
  }

  private func request(_ samples: ArraySlice<Sample>, _ reading: Reading, _ flip: Bool) -> BatchRequest {
    var transforms = configuration.evaluationTransforms
    if case .descriptor(let part) = reading { transforms.shown = part }
    return BatchRequest(
      samples: Array(samples), transforms: transforms, flipAll: flip,
      onDamage: configuration.data.damaged == .skip ? .skip : .fail)
  }

  private func values(_ batch: ImageBatch, _ reading: Reading) throws -> [Float] {
    batch.samples.isEmpty ? [] : try values(batch.pixels, height: batch.height, width: batch.width, reading)
  }

  private func values(_ pixels: [UInt8], height: Int, width: Int, _ reading: Reading) throws -> [Float] {
    let images: Tensor<E> = InputNormalization.forward(pixels, height: height, width: width, context)
    let rows =
      switch reading {
      case .descriptor: try network.embed(images, parameters, context)
      case .logits(let head): try network.classify(images, parameters, head: head, context)
      }
    return rows.array.map { Float($0) }
  }
}

/// Some rank was asked to stop; thrown on every rank alike.
package struct ExtractionStopped: Error {}
