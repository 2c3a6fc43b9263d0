import Tensors

/// The unit of the network: a convolution, a norm, and a ReLU or none; what is stored is the raw convolution output z.
///
///     z = W∗x,  y = γ(z − μ)/σ + β, or max(0, that)      y is pending: `state` says how a reader gets it from z
///     ż = W∗ẋ                                            ẏ is pending on ż and z
///     z̄ is pending on ȳ and z                            W̄ += x⊗z̄
///     z̄ + λz̄˙ is pending on h = ȳ + λȳ˙, z, ȳ and ż          W̄ += x⊗(z̄ + λz̄˙) + ẋ⊗λz̄
///
/// With a gate of channels, y and its tangent are gated before the ReLU; all stays pending (`ExcitedNormPasses`).
///
/// Collectives: those of the norm: Σz, Σz²; Σż, Σ(z − μ)ż, Σżȳ; Σȳ, Σ(z − μ)ȳ; Σh, Σ(z − μ)h.
package final class NormalizedConvolution<E: Element>: Layer {
  package let convolution: any LinearMap<E>
  package let norm: any Normalization<E>
  /// Whether y is rectified.
  package let isActivated: Bool
  /// What gates the norm's output, if anything does.
  package let gate: (any ChannelGate<E.Accumulator>)?

  package init(
    _ convolution: any LinearMap<E>, _ norm: any Normalization<E>, isActivated: Bool = true,
    gate: (any ChannelGate<E.Accumulator>)? = nil
  ) {
    precondition(convolution.geometry.outputs == norm.channels)
    (self.convolution, self.norm, self.isActivated, self.gate) = (convolution, norm, isActivated, gate)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    var y = norm.express(convolution.express(x, in: graph), in: graph)
    if let gate { y = graph.product(y, gate.express(graph.means(y), in: graph)) }
    return isActivated ? graph.rectified(y) : y
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> { try pass(x, run) }

  package func pass(_ x: Feature<E>, _ run: Run<E>) throws -> UnitPasses<E> {
    run.note(convolution, reading: x.shape)
    var epilogue = Epilogue(out: run.context.tensor(convolution.geometry.outputShape(x.shape)))
    epilogue.forwardSums = gate == nil ? norm.forwardSums(training: run.isTraining) : .ofEachImage
    let sums = convolution.forward(x.value, run.parameters, epilogue, run.context)
    let z = epilogue.out
    let passes = try norm.passes(sums, z.shape, run)
    return UnitPasses(self, x, z, gate.map { ExcitedNormPasses(passes, $0, sums, z.shape, run) } ?? passes)
  }
}

/// What follows the forward pass of a `NormalizedConvolution`.
package final class UnitPasses<E: Element>: Passes {
  /// z and its normalization.
  package let normalized: GradientTarget<E>.Normalized
  private let unit: NormalizedConvolution<E>
  private let x: Feature<E>
  private let norm: any NormPasses<E>
  /// ȳ, and z̄ from it.
  private var recorded: (yBar: Tensor<E>, coefficients: NormCoefficients<E.Accumulator>)?
  private var tangent: (x: Operand<E>, z: Tensor<E>)?

  fileprivate init(_ unit: NormalizedConvolution<E>, _ x: Feature<E>, _ z: Tensor<E>, _ norm: any NormPasses<E>) {
    (self.unit, self.x, self.norm, normalized) = (unit, x, norm, .init(z, norm.state))
  }

  private var z: Tensor<E> { normalized.z }

  package var y: Feature<E> {
    unit.isActivated
      ? Feature(
        .activation(z, normalized.state), GradientTarget(gate: .activation(normalized), norms: [normalized]))
      : Feature(.normalized(z, normalized.state), GradientTarget(gate: .open, norms: [normalized]))
  }

  package func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>? = nil, _ run: Run<E>) throws -> Operand<E> {
    let recorded = after("a recording backward pass", recorded)
    var epilogue = Epilogue(out: run.context.tensor(z.shape))
    epilogue.tangentOf = (normalized, recorded.yBar)
    let sums = unit.convolution.forwardTangent(xDot, epilogue, run.context)
    let coefficients = try norm.forwardTangent(sums, run)
    tangent = (xDot, epilogue.out)
    let yDot: Operand<E> =
      unit.isActivated
      ? .activationTangent(epilogue.out, through: z, normalized.state, coefficients)
      : .gradient(epilogue.out, through: z, coefficients)
    return yDot.adding(v, run.context)
  }

  package func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>? = nil, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    try dataGradient(try backward(yBar, pass, run), adding: addend, target: target, run)
  }

  /// The first half of the backward pass: from the gradient of y to that of z, pending; γ̄, β̄ and W̄ are added up, or where
  /// the pass only records, ȳ is kept.
  package func backward(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws -> Operand<E> {
    if case .regularized(let gradients, let weight) = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(yBar.sums, pass, run)
      let zBar = Operand.regularizedGradient(yBar.tensor, through: z, recorded.yBar, tangent.z, coefficients)
      let weighted = Operand.gradient(recorded.yBar, through: z, recorded.coefficients.scaled(by: weight))
      unit.convolution.backwardWeights(x.value, zBar, tangent: (tangent.x, weighted), into: gradients, run.context)
      return zBar
    }
    let coefficients = try norm.backward(yBar.sums, pass, run)
    let zBar = Operand.gradient(yBar.tensor, through: z, coefficients)
    if let gradients = pass.gradients {
      unit.convolution.backwardWeights(x.value, zBar, tangent: nil, into: gradients, run.context)
    } else {
      recorded = (yBar.tensor, coefficients)
    }
    return zBar
  }

  package func backwardToParameters(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws {
    _ = try backward(yBar, pass, run) as Operand<E>
  }

  /// The second half: from the gradient of z to that of x.
  package func dataGradient(
    _ zBar: Operand<E>, adding addend: Tensor<E>? = nil, target: GradientTarget<E>, _ run: Run<E>
  ) throws -> Gradient<E> {
    var epilogue = Epilogue(out: run.context.tensor(x.shape))
    epilogue.target = target
    epilogue.addend = addend
    let sums = unit.convolution.backwardData(zBar, epilogue, run.context)
    return Gradient(tensor: epilogue.out, sums: sums)
  }

  package var storedTangents: [Tensor<E>] { [tangent?.z].compactMap { $0 } }
}
