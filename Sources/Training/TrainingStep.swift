import Collectives
import Dataset
import Layers
import Losses
import Network
import Tensors

/// What a step came to; the same on every rank.
package struct StepResult: Sendable {
  package let loss: ReIDLoss.Value
  /// The loss scale that the step was computed with.
  package let lossScale: Double
  /// The tensor whose gradient was not finite, if the step was skipped.
  package let skippedFor: String?
}

/// One step of training, spelled out: this is the page to show a colleague.
package final class TrainingStep<E: Element> {
  package let network: ReIDNetwork<E>
  package let parameters: Parameters<E.Accumulator>
  package let gradients: ParameterGradients
  package let adam: Adam<E.Accumulator>
  package var lossScale: LossScale
  private let loss: ReIDLoss
  private let context: Context<E>

  package init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>, _ configuration: Configuration,
    _ context: Context<E>
  ) {
    self.network = network
    self.parameters = parameters
    self.context = context
    gradients = ParameterGradients(count: network.layout.count)
    adam = Adam(count: network.layout.count, configuration.optimizer)
    lossScale = LossScale(configuration)
    loss = ReIDLoss(tripletWeight: configuration.losses.triplet.weight, margin: configuration.losses.triplet.margin)
  }

  /// Computes the gradients of `scale` · L, summed over all ranks, of the global batch whose rows `pixels` (n × height
  /// × width × 3 bytes) and `labels` are this rank's share. Leaves them in `gradients`; changes no parameter.
  package func differentiate(
    _ pixels: [UInt8], height: Int, width: Int, labels: [Int], scale: Double
  ) throws -> (
    loss: ReIDLoss.Value, embedding: Tensor<E.Accumulator>, logits: Tensor<E.Accumulator>, updates: RunningUpdates
  ) {
    network.pack(parameters, training: true, context)
    gradients.reset(scale: scale, E.Accumulator.self)
    var updates = RunningUpdates()
    let images: Tensor<E> = InputNormalization.forward(pixels, height: height, width: width, context)
    let saved = try network.forward(images, parameters, &updates, context)
    let (embedding, logits) = (saved.embedding, saved.logits)
    let (value, embeddingBar, logitsBar) = try loss.evaluate(
      embedding: embedding, logits: logits, labels: labels, scale: scale, in: context.arena, context.communicator)
    try network.backward(saved, embeddingBar: embeddingBar, logitsBar: logitsBar, parameters, into: gradients, context)
    try GradientReduction.reduce(gradients, context.communicator)
    return (value, embedding, logits, updates)
  }

  /// A whole step. One that meets an Inf or NaN on any rank changes no parameter, statistic or moment on any.
  package func run(_ batch: ImageBatch, labels: [Int], learningRate: Double) throws -> StepResult {
    let scale = lossScale.scale
    let (value, _, _, updates) = try differentiate(
      batch.pixels, height: batch.height, width: batch.width, labels: labels, scale: scale)
    let culprit =
      value.total.isFinite
      ? GradientReduction.nonfinite(gradients, network.layout, context.accumulating) : "the loss"
    if lossScale.update(finite: culprit == nil) {
      adam.update(
        parameters.values, gradients, gradientScale: 1 / scale, learningRate: learningRate, context.accumulating)
      updates.commit()
    }
    return StepResult(loss: value, lossScale: scale, skippedFor: culprit)
  }
}
