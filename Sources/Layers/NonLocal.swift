import Tensors

/// A non-local block (Wang et al., "Non-local Neural Networks", CVPR 2018) as AGW (Ye et al., 2022) and fast-reid have it: with
/// dot products in place of the softmax, and a norm at the end whose scale begins at 0, so that the block begins as the identity.
///
///     z = x + n(W_z∗y),  y of `PixelProducts` from θ = W_θ∗x + b_θ, φ = W_φ∗x + b_φ, γ = W_g∗x + b_g
///     x̄ = z̄ + W_θᵀ∗θ̄ + W_φᵀ∗φ̄ + W_gᵀ∗γ̄                   tangents likewise, those of the products by `PixelProducts`
///
/// x, z: n×h×w×c, both stored. Precision: the convolutions', the products in float64. Collectives: those of the norm.
package final class NonLocal<E: Element>: Layer {
  private let theta: any LinearMap<E>, phi: any LinearMap<E>, gamma: any LinearMap<E>
  private let output: NormalizedConvolution<E>

  /// Tensors `<name>.theta.*`, `<name>.phi.*`, `<name>.g.*` of `inner` channels, `<name>.W.0.weight`, and those of the norm
  /// `<name>.W.1`. The convolution before it has no bias, which the norm would take away again. Weights begin as PyTorch's
  /// do, which the authors' code leaves them at: wider ones, three of them multiplied, would leave float16.
  package init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, channels: Int, inner: Int,
    transform: FilterTransform = .none
  ) {
    func convolution(_ part: String) -> Convolution<E> {
      Convolution(
        &layout, "\(name).\(part)", inputs: channels, outputs: inner, bias: true, transform: transform, start: .fanIn)
    }
    (gamma, theta, phi) = (convolution("g"), convolution("theta"), convolution("phi"))
    output = NormalizedConvolution(
      Convolution<E>(
        &layout, name + ".W.0", inputs: inner, outputs: channels, transform: transform, start: .fanIn),
      Norm(&layout, &statistics, name + ".W.1", channels: channels, start: .constant(0)), isActivated: false)
  }

  /// To be packed.
  package var maps: [any LinearMap<E>] { [gamma, theta, phi, output.convolution] }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let theta = graph.matrix(theta.express(x, in: graph)), phi = graph.matrix(phi.express(x, in: graph))
    let gamma = graph.matrix(gamma.express(x, in: graph)), inner = theta.extent[0]
    // Of the transposes of what `PixelProducts` has: Mᵀ, then (θM)ᵀ.
    let products = graph.with(
      1 / Double(x.area), "Mul", graph.matrixProduct(gamma, graph.transposed(phi)))
    let y = graph.reshaped(graph.matrixProduct(products, theta), [inner, x.height, x.width])
    return graph.sum(output.express(y, in: graph), x)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let maps = PixelProducts<E>.Three(theta: theta, phi: phi, gamma: gamma).map { LinearPasses($0, x, run) }
    let products = PixelProducts(maps.map(\.y.value), run)
    let unit = try output.pass(.plain(products.y), run)
    return NonLocalPasses(maps, products, unit, z: Addition.forward(unit.y.value, x.value.tensor, run.context))
  }
}

private final class NonLocalPasses<E: Element>: Passes {
  let y: Feature<E>
  private let maps: PixelProducts<E>.Three<LinearPasses<E>>, products: PixelProducts<E>, unit: UnitPasses<E>
  private var zDot: Tensor<E>?

  init(
    _ maps: PixelProducts<E>.Three<LinearPasses<E>>, _ products: PixelProducts<E>, _ unit: UnitPasses<E>, z: Tensor<E>
  ) {
    (self.maps, self.products, self.unit) = (maps, products, unit)
    y = Feature(.plain(z), GradientTarget(gate: .open, norms: [unit.normalized]))
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let yDot = products.forwardTangent(maps.map { $0.forwardTangent(xDot, run) }, run)
    let branch = try unit.forwardTangent(.plain(yDot), run)
    let zDot = Addition.forward(branch, Addition.forward(xDot, v, run.context), run.context)
    self.zDot = zDot
    return .plain(zDot)
  }

  func backward(
    _ zBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let yBar = try unit.backward(zBar, target: .plain, pass, run)
    let bars = products.backward(yBar.tensor, pass, run)
    maps.theta.backwardWeights(bars.theta, pass, run)
    maps.phi.backwardWeights(bars.phi, pass, run)
    maps.gamma.backwardWeights(bars.gamma, pass, run)
    let direct = addend.map { Addition.forward(.plain(zBar.tensor), $0, run.context) } ?? zBar.tensor
    let first = maps.theta.backwardData(bars.theta, adding: direct, target: .plain, run)
    let second = maps.phi.backwardData(bars.phi, adding: first.tensor, target: .plain, run)
    return maps.gamma.backwardData(bars.gamma, adding: second.tensor, target: target, run)
  }

  var storedTangents: [Tensor<E>] {
    products.storedTangents + unit.storedTangents + [zDot].compactMap { $0 }
  }
}

/// Of `NonLocal`.
package struct NonLocalOptions: Options {
  package var blocks = [0, 2, 3, 0]
  package var channels = 1

  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .value(
        "blocks", \.blocks, type: "list of four integers", "each from 0 to 36",
        "How many of the last blocks of each stage have one behind them; at most all."
      ) { $0.count == 4 && $0.allSatisfy((0...36).contains) },
      .integer(
        "channels", \.channels, 0...4096,
        "Inner channels: 1 as the code of AGW and fast-reid has it; 0 for half of the outer ones, as the paper has."),
    ]
  }

  /// Of a map of `channels`.
  package func inner(_ channels: Int) -> Int { self.channels == 0 ? max(1, channels / 2) : self.channels }
}
