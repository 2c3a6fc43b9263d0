import Layers
import Tensors

/// The whole network: images → stages → pyramid → neck → embedding and logits.
package final class ReIDNetwork<E: Element> {
  package let architecture: Architecture
  package let layout: ParameterLayout, statistics: ParameterLayout
  package let backbone: ResNet<E>
  package let pyramid: Pyramid<E>
  package let neck: EmbeddingNeck<E.Accumulator>
  private let convolutions: [Convolution<E>]

  package init(_ architecture: Architecture) {
    var builder = NetworkBuilder<E>(architecture)
    self.architecture = architecture
    backbone = ResNet(&builder)
    pyramid = Pyramid(&builder)
    neck = EmbeddingNeck(&builder)
    convolutions = builder.convolutions
    layout = builder.parameters
    statistics = builder.statistics
  }

  /// Packs the working weights from the masters. `training` also packs what the backward pass needs.
  package func pack(_ parameters: Parameters<E.Accumulator>, training: Bool, _ context: Context<E>) {
    for convolution in convolutions {
      convolution.pack(parameters.values, backward: training && convolution !== backbone.stem.convolution, context)
    }
    neck.fc.pack(parameters.values, backward: training, context.accumulating)
    if training { neck.classifier.pack(parameters.values, backward: true, context.accumulating) }
  }

  /// Bytes of the packed working weights, after `pack`.
  package var packedBytes: Int {
    convolutions.reduce(0) { $0 + $1.packedBytes } + neck.fc.packedBytes + neck.classifier.packedBytes
  }

  /// A training pass and what its backward pass takes apart.
  package struct Saved {
    fileprivate var backbone: ResNet<E>.Saved
    fileprivate var pyramid: Pyramid<E>.Saved
    fileprivate let neck: EmbeddingNeck<E.Accumulator>.Saved
    /// n × 1 × 1 × embedding
    package var embedding: Tensor<E.Accumulator> { neck.embedding }
    /// n × 1 × 1 × identities
    package var logits: Tensor<E.Accumulator> { neck.logits! }
  }

  /// Training: batch statistics of the global batch. `images`: n × height × width × 3, normalized.
  package func forward(
    _ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, _ context: Context<E>
  ) throws -> Saved {
    let backbone = try backbone.forward(images, parameters, &updates, training: true, context)
    let pyramid = try pyramid.forward(backbone.outputs, parameters, &updates, training: true, context)
    let neck = try neck.forward(pyramid.feature, parameters, &updates, training: true, context.accumulating)
    return Saved(backbone: backbone, pyramid: pyramid, neck: neck)
  }

  /// Adds this rank's parameter gradients to `gradients`, from those of its rows of the embedding and the logits.
  package func backward(
    _ saved: consuming Saved, embeddingBar: Tensor<E.Accumulator>, logitsBar: Tensor<E.Accumulator>,
    _ parameters: Parameters<E.Accumulator>, into gradients: ParameterGradients, _ context: Context<E>
  ) throws {
    var saved = saved
    let featureBar = try neck.backward(
      saved.neck, embeddingBar: embeddingBar, logitsBar: logitsBar, parameters, into: gradients, context.accumulating)
    var (top, others) = try pyramid.backward(
      &saved.pyramid, featureBar, topTarget: saved.backbone.topTarget, parameters, into: gradients, context)
    try backbone.backward(&saved.backbone, top: top, others: &others, parameters, into: gradients, context)
  }

  /// Evaluation: running statistics, embeddings only, nothing kept.
  package func embed(_ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>) throws
    -> Tensor<E.Accumulator>
  {
    var none = RunningUpdates()
    let backbone = try backbone.forward(images, parameters, &none, training: false, context)
    let pyramid = try pyramid.forward(backbone.outputs, parameters, &none, training: false, context)
    return try neck.forward(pyramid.feature, parameters, &none, training: false, context.accumulating).embedding
  }
}
