import Collectives
import Dataset
import Evaluation
import Layers
import Network
import Tensors

/// Embeddings of images by a trained network, the images shared out over ranks.
package struct FeatureExtractor<E: Element> {
  private let network: ReIDNetwork<E>
  private let parameters: Parameters<E.Accumulator>
  private let configuration: Configuration
  private let context: Context<E>

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
  package func extract(_ samples: [Sample]) throws -> (features: FeatureMatrix, samples: [Sample], damaged: [String]) {
    let own = Share.rows(samples.count, context.communicator)
    let (values, rows, damaged) = try context.communicator.agree { try extractShare(Array(samples[own])) }
    let all = try context.communicator.allgather(values)
    let kept = try context.communicator.allgather(rows.map { Int32($0 + own.lowerBound) }).joined().map {
      samples[Int($0)]
    }
    let features = FeatureMatrix(
      rows: kept.count, columns: network.architecture.embedding, values: Array(all.joined()))
    return (features, kept, damaged)
  }

  private func extractShare(_ samples: [Sample]) throws -> (values: [Float], rows: [Int], damaged: [String]) {
    let loader = BatchLoader(threads: configuration.data.loaderThreads, seed: configuration.seed)
    defer { loader.close() }
    let passes = configuration.evaluation.flip ? [false, true] : [false]
    let requests = stride(from: 0, to: samples.count, by: configuration.evaluation.batch).flatMap { first in
      passes.map { flip in
        (first, request(samples[first..<min(samples.count, first + configuration.evaluation.batch)], flip))
      }
    }
    let ahead = 2 * passes.count
    for (_, request) in requests.prefix(ahead) { loader.submit(request) }
    var values: [Float] = [], rows: [Int] = [], damaged: [String] = [], plain: [Float] = []
    for (number, (first, request)) in requests.enumerated() {
      let batch = try loader.next()
      if number + ahead < requests.count { loader.submit(requests[number + ahead].1) }
      let embeddings = try embed(batch)
      if passes.count == 2 && !request.flipAll {
        plain = embeddings
        continue
      }
      values += passes.count == 2 ? zip(plain, embeddings).map { ($0 + $1) / 2 } : embeddings
      rows += batch.rows.map { first + $0 }
      damaged += batch.damaged.map(\.reason)
      _ = context.workers.timeline.take()  // nobody asks for the spans of an evaluation
    }
    return (values, rows, damaged)
  }

  private func request(_ samples: ArraySlice<Sample>, _ flip: Bool) -> BatchRequest {
    let transforms = Transforms(height: configuration.input.height, width: configuration.input.width)
    return BatchRequest(
      samples: Array(samples), transforms: transforms, flipAll: flip,
      onDamage: configuration.data.damaged == .skip ? .skip : .fail)
  }

  private func embed(_ batch: ImageBatch) throws -> [Float] {
    guard !batch.samples.isEmpty else { return [] }
    let images: Tensor<E> = InputNormalization.forward(batch.pixels, height: batch.height, width: batch.width, context)
    return try network.embed(images, parameters, context).array.map { Float($0) }
  }
}
