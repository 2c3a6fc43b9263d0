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

  /// Packs the working weights from the masters. `training` also packs what the backward pass needs, `inputGradient`
  /// what the gradient of the images does.
  package func pack(
    _ parameters: Parameters<E.Accumulator>, training: Bool, inputGradient: Bool = false, _ context: Context<E>
  ) {
    for convolution in convolutions {
      let backward = training && (inputGradient || convolution !== backbone.stem.convolution)
      convolution.pack(parameters.values, backward: backward, context)
    }
    neck.fc.pack(parameters.values, backward: training, context.accumulating)
    if training { neck.classifier.pack(parameters.values, backward: true, context.accumulating) }
  }

  /// Bytes of the packed working weights, after `pack`.
  package var packedBytes: Int {
    convolutions.reduce(0) { $0 + $1.packedBytes } + neck.fc.packedBytes + neck.classifier.packedBytes
  }

  /// What a training pass leaves to the later ones.
  package struct Saved {
    fileprivate var backbone: ResNet<E>.Saved
    fileprivate var pyramid: Pyramid<E>.Saved
    fileprivate var neck: EmbeddingNeck<E.Accumulator>.Saved
    /// n × 1 × 1 × embedding
    package var embedding: Tensor<E.Accumulator> { neck.embedding }
    /// n × 1 × 1 × identities
    package var logits: Tensor<E.Accumulator> { neck.logits! }
    /// The feature at a stage, 1…4.
    package func feature(_ stage: Int) -> Tensor<E> { backbone.outputs[stage - 1] }
    /// What `forwardTangent` has stored.
    package var tangents: [Tensor<E>] { backbone.tangents + pyramid.tangents }
  }

  /// Training: batch statistics of the global batch. `images`: n × height × width × 3, normalized. `perturbations` are added
  /// to the features at their places (0: the images; 1…4: stages); what is saved then serves no backward pass.
  package func forward(
    _ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates,
    adding perturbations: [Int: Tensor<E>] = [:], _ context: Context<E>
  ) throws -> Saved {
    let backbone = try backbone.forward(
      images, parameters, &updates, training: true, adding: perturbations, context)
    let pyramid = try pyramid.forward(backbone.outputs, parameters, &updates, training: true, context)
    let neck = try neck.forward(pyramid.feature, parameters, &updates, training: true, context.accumulating)
    return Saved(backbone: backbone, pyramid: pyramid, neck: neck)
  }

  /// From v at the places (0: the images; 1…4: the outputs of stages), times τ, to the tangents of this rank's rows of the
  /// embedding and the logits. After a backward pass that recorded the gradients at these places.
  package func forwardTangent(
    _ saved: inout Saved, at v: [Int: Tensor<E>], _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) throws -> (embedding: Tensor<E.Accumulator>, logits: Tensor<E.Accumulator>) {
    let outputs = try backbone.forwardTangent(&saved.backbone, at: v, parameters, context)
    let feature = try pyramid.forwardTangent(&saved.pyramid, outputs, parameters, context)
    return try neck.forwardTangent(&saved.neck, feature, parameters, context.accumulating)
  }

  /// A backward pass from the gradients of this rank's rows of the embedding and the logits: `pass` says which. One that
  /// records returns the gradients at its places; the others add up parameter gradients and take `saved` apart.
  @discardableResult
  package func backward(
    _ saved: inout Saved, embeddingBar: Tensor<E.Accumulator>, logitsBar: Tensor<E.Accumulator>,
    _ parameters: Parameters<E.Accumulator>, _ pass: BackwardPass, _ context: Context<E>
  ) throws -> [Int: Tensor<E>] {
    let featureBar = try neck.backward(
      &saved.neck, embeddingBar: embeddingBar, logitsBar: logitsBar, parameters, pass, context.accumulating)
    pass.gradients?.complete(from: neck.norm.scale.range.lowerBound)
    var (top, others) = try pyramid.backward(
      &saved.pyramid, featureBar, topTarget: pass.asks(for: 4) ? .plain : saved.backbone.topTarget, parameters, pass,
      context)
    pass.gradients?.complete(from: backbone.end)
    return try backbone.backward(&saved.backbone, top: top, others: &others, parameters, pass, context)
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
