import Tensors

/// The unit of the network: convolution, then batch norm; what is stored is the raw convolution output z.
///
///     z = W∗x,  y = γ(z − μ)/σ + β       y is pending: `state` says how a reader gets it from z
///
/// Collectives: one packed allreduce forward (Σz, Σz²) and one backward (Σȳ, Σ(z − μ)ȳ).
package final class NormalizedConvolution<E: Element> {
  package let convolution: Convolution<E>
  package let norm: BatchNorm<E>

  package init(convolution: Convolution<E>, norm: BatchNorm<E>) {
    precondition(convolution.outputChannels == norm.channels)
    (self.convolution, self.norm) = (convolution, norm)
  }

  /// What the backward pass needs of a forward pass: x as it was read, z and its normalization.
  package struct Saved {
    package let x: Operand<E>
    package let z: Tensor<E>
    package let state: BatchNorm<E>.State

    /// max(0, y), pending.
    package var activation: Operand<E> { .activation(z, state) }
    package var normalized: GradientTarget<E>.Normalized { .init(z, state) }
    /// The target for a gradient of max(0, y).
    package var target: GradientTarget<E> { GradientTarget(gate: .activation(normalized), norms: [normalized]) }
  }

  package func forward(
    _ x: Operand<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<E>
  ) throws -> Saved {
    var epilogue = Epilogue(out: context.tensor(convolution.outputShape(x.shape)))
    epilogue.forwardSums = training
    let sums = convolution.forward(x, parameters, epilogue, context)
    let z = epilogue.out
    guard training else { return Saved(x: x, z: z, state: norm.normalize(parameters)) }
    let state = try norm.normalize(sums, count: z.shape.pixels, parameters, context.communicator)
    updates.add(norm, state, parameters)
    return Saved(x: x, z: z, state: state)
  }

  /// From the gradient of y (gated, with its sums) to that of z: γ̄, β̄ and W̄ are added up; returns z̄, pending.
  /// `sums` are Σȳ and Σȳ(z − mean).
  package func backward(
    _ saved: Saved, _ yBar: Tensor<E>, sums: [Double], _ parameters: Parameters<E.Accumulator>,
    into gradients: ParameterGradients, _ context: Context<E>
  ) throws -> Operand<E> {
    let coefficients = try norm.backward(saved.state, sums, parameters, into: gradients, context.communicator)
    let zBar = Operand.gradient(yBar, through: saved.z, coefficients)
    convolution.backwardWeights(saved.x, zBar, into: gradients, context)
    return zBar
  }
}
