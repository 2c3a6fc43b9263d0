import Tensors

/// The unit of the network: convolution, then batch norm; what is stored is the raw convolution output z.
///
///     z = W∗x,  y = γ(z − μ)/σ + β       y is pending: `state` says how a reader gets it from z
///     ż = W∗ẋ                            ẏ is pending on ż and z
///     z̄ is pending on ȳ and z            W̄ += x⊗z̄
///     z̄ + λz̄˙ is pending on h = ȳ + λȳ˙, z, ȳ and ż          W̄ += x⊗(z̄ + λz̄˙) + ẋ⊗λz̄
///
/// Collectives: one packed allreduce a pass: Σz, Σz²; Σż, Σ(z − μ)ż, Σżȳ; Σȳ, Σ(z − μ)ȳ; Σh, Σ(z − μ)h.
package final class NormalizedConvolution<E: Element> {
  package let convolution: Convolution<E>
  package let norm: BatchNorm<E>

  package init(convolution: Convolution<E>, norm: BatchNorm<E>) {
    precondition(convolution.outputChannels == norm.channels)
    (self.convolution, self.norm) = (convolution, norm)
  }

  /// What the passes leave for later ones: x as it was read, z and its normalization; ȳ where the first backward pass
  /// only recorded; ẋ and ż where the unit was perturbed.
  package struct Saved {
    package let x: Operand<E>
    package let z: Tensor<E>
    package let state: BatchNorm<E>.State
    fileprivate var gradient: (yBar: Tensor<E>, norm: BatchNorm<E>.Backward)?
    fileprivate var tangent: (x: Operand<E>, z: Tensor<E>, norm: BatchNorm<E>.Tangent)?

    /// max(0, y), pending.
    package var activation: Operand<E> { .activation(z, state) }
    package var normalized: GradientTarget<E>.Normalized { .init(z, state) }
    /// The target for a gradient of max(0, y).
    package var target: GradientTarget<E> { GradientTarget(gate: .activation(normalized), norms: [normalized]) }

    /// The tangent of max(0, y), pending; after `forwardTangent`.
    package var activationTangent: Operand<E> {
      .activationTangent(tangent!.z, through: z, state, tangent!.norm.coefficients)
    }
    /// ẏ, pending; after `forwardTangent`.
    package var normalizedTangent: Operand<E> { .gradient(tangent!.z, through: z, tangent!.norm.coefficients) }
    /// ż, if the unit was perturbed.
    package var zDot: Tensor<E>? { tangent?.z }
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

  /// From ẋ (times τ) to ż and ẏ, kept in `saved`. After a recording backward pass.
  package func forwardTangent(
    _ saved: inout Saved, _ xDot: Operand<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) throws {
    var epilogue = Epilogue(out: context.tensor(saved.z.shape))
    epilogue.tangentOf = (saved.normalized, saved.gradient!.yBar)
    let sums = convolution.forwardTangent(xDot, epilogue, context)
    let tangent = try norm.forwardTangent(saved.state, sums, parameters, context.communicator)
    saved.tangent = (xDot, epilogue.out, tangent)
  }

  /// From the gradient of y (gated, with its sums) to that of z, pending. `sums` are Σȳ and Σȳ(z − mean). γ̄, β̄ and W̄ are
  /// added up, or where the pass only records, ȳ is kept.
  package func backward(
    _ saved: inout Saved, _ yBar: Tensor<E>, sums: [Double], _ parameters: Parameters<E.Accumulator>,
    _ pass: BackwardPass, _ context: Context<E>
  ) throws -> Operand<E> {
    if case .regularized(let gradients, let weight) = pass, saved.tangent != nil {
      return try backwardTangent(saved, yBar, sums: sums, weight: weight, parameters, into: gradients, context)
    }
    let backward = try norm.backward(saved.state, sums, parameters, into: pass.gradients, context.communicator)
    let zBar = Operand.gradient(yBar, through: saved.z, backward.coefficients)
    if let gradients = pass.gradients {
      convolution.backwardWeights(saved.x, zBar, into: gradients, context)
    } else {
      saved.gradient = (yBar, backward)
    }
    return zBar
  }

  /// From h, the gradient of J with respect to y (gated, with its sums), to that of z, pending; γ̄, β̄ and W̄ of J are
  /// added up. `weight`: what the stored tangents count in J.
  private func backwardTangent(
    _ saved: Saved, _ h: Tensor<E>, sums: [Double], weight: Double, _ parameters: Parameters<E.Accumulator>,
    into gradients: ParameterGradients, _ context: Context<E>
  ) throws -> Operand<E> {
    let (yBar, backward) = saved.gradient!, tangent = saved.tangent!
    let coefficients = try norm.backwardTangent(
      saved.state, backward, tangent.norm, weight: weight, sums, parameters, into: gradients, context.communicator)
    let zBar = Operand.regularizedGradient(h, through: saved.z, yBar, tangent.z, coefficients)
    let weighted = Operand.gradient(yBar, through: saved.z, backward.coefficients.scaled(by: weight))
    convolution.backwardWeights(saved.x, zBar, tangent: (tangent.x, weighted), into: gradients, context)
    return zBar
  }
}
