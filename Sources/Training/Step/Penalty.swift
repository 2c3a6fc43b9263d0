import Layers
import Losses
import Network
import Tensors

/// Adaptive L2 in a run: the penalty, and the optimizer that trains its strengths.
package final class Penalty<A: Element> where A.Accumulator == A {
  package let adaptive: AdaptiveL2<A>
  package let optimizer: Optimizer<A>
  private let isTrained: Bool

  /// nil where `adaptiveL2.enabled` is false.
  package init?(_ network: ParameterLayout, _ configuration: Configuration) {
    guard configuration.adaptiveL2.enabled else { return nil }
    adaptive = AdaptiveL2(network, configuration.adaptiveL2)
    optimizer = Optimizer(ParameterGroup.undecayed(adaptive.layout), configuration.optimizer)
    isTrained = configuration.adaptiveL2.trained
  }

  /// One update of the strengths.
  package func update(gradientScale: Double, learningRate: Double, _ context: Context<A>) {
    guard isTrained else { return }
    optimizer.update(
      adaptive.values, adaptive.gradients, gradientScale: gradientScale, learningRate: learningRate, context)
  }
}
