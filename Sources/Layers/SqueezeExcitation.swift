import Foundation
import Tensors

/// The gates of squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation Networks", 2018), from an image's means:
///
///     g = σ(a),  a = W₂·max(0, W₁·s + b₁) + b₂            s, g: one an image and channel
///     ġ = σ'∘ȧ,  σ' = g(1 − g)                             ȧ from ṡ, without the biases
///     ā = σ'∘ḡ                                             s̄, W̄ and b̄ as linear layers have them
///     ā˙ = σ'∘(ḡ˙ + (1 − 2g)ȧ∘ḡ)
///
/// The last line carries ḡ + λḡ˙ (see `BackwardPass`). What s is and what g multiplies is `ExcitedNormPasses`' matter.
///
/// s, g: n×1×1×c. Precision: accumulators, what is said element by element float64. Collectives: none.
package final class SqueezeExcitation<A: Element>: ChannelGate where A.Accumulator == A {
  private let reduce: Convolution<A>, expand: Convolution<A>

  /// Tensors `<name>.fc.0.weight`, `<name>.fc.0.bias`, `<name>.fc.2.weight`, `<name>.fc.2.bias`.
  package init(_ layout: inout ParameterLayout, _ name: String, channels: Int, hidden: Int) {
    reduce = Convolution(&layout, name + ".fc.0", inputs: channels, outputs: hidden, bias: true, linear: true)
    expand = Convolution(&layout, name + ".fc.2", inputs: hidden, outputs: channels, bias: true, linear: true)
  }

  /// As 1×1 convolutions with names of their own, `<reduce>.weight`, `<reduce>.bias`, `<expand>.weight`, `<expand>.bias`.
  package init(_ layout: inout ParameterLayout, reduce: String, expand: String, channels: Int, hidden: Int) {
    self.reduce = Convolution(&layout, reduce, inputs: channels, outputs: hidden, bias: true)
    self.expand = Convolution(&layout, expand, inputs: hidden, outputs: channels, bias: true)
  }

  /// `hidden` by the options.
  package convenience init(
    _ layout: inout ParameterLayout, _ name: String, channels: Int, _ options: ReductionOptions
  ) {
    self.init(&layout, name, channels: channels, hidden: max(1, channels / options.reduction))
  }

  package var maps: [any LinearMap<A>] { [reduce, expand] }

  package func express(_ s: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.sigmoid(expand.express(graph.rectified(reduce.express(s, in: graph)), in: graph))
  }

  package func forward(_ s: Buffer<Double>, images: Int, _ run: Run<A>) -> any ChannelGatePasses<A> {
    let context = run.context
    let s = Self.tensor(s, Shape(images, 1, 1, reduce.geometry.inputs), context)
    let hidden = LinearPasses(reduce, .plain(s), run), values = hidden.y.value.tensor
    if !context.workers.isRehearsal {
      for i in 0..<values.shape.count where values.pointer[i] < 0 { values.pointer[i] = 0 }
    }
    return ExcitationPasses(hidden, LinearPasses(expand, .plain(values), run), context)
  }

  /// A row an image.
  fileprivate static func tensor(_ values: Buffer<Double>, _ shape: Shape, _ context: Context<A>) -> Tensor<A> {
    let tensor = context.tensor(shape)
    if !context.workers.isRehearsal { tensor.setColumns(0, shape.channels, from: values) }
    return tensor
  }
}

/// Of gates with a hidden layer.
package struct ReductionOptions: Options {
  package var reduction = 16
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .integer(
        "reduction", \.reduction, 1...4096, "How many times fewer hidden values than channels there are; at least one.")
    ]
  }
}

private final class ExcitationPasses<A: Element>: ChannelGatePasses where A.Accumulator == A {
  let g: Buffer<Double>
  private let hidden: LinearPasses<A>, logits: LinearPasses<A>
  private var recorded: Buffer<Double>?
  private var aDot: Buffer<Double>?

  /// `hidden`: its output is rectified.
  fileprivate init(_ hidden: LinearPasses<A>, _ logits: LinearPasses<A>, _ context: Context<A>) {
    (self.hidden, self.logits) = (hidden, logits)
    g = Self.values(logits.y.value.tensor, context)
    for i in 0..<g.count { g[i] = 1 / (1 + exp(-g[i])) }
  }

  private static func values(_ tensor: Tensor<A>, _ context: Context<A>) -> Buffer<Double> {
    context.workers.isRehearsal
      ? Buffer(count: tensor.shape.count) : tensor.columns(0, tensor.shape.channels)
  }

  private var gate: GradientTarget<A> { GradientTarget(gate: .positive(hidden.y.value.tensor), norms: []) }

  func forwardTangent(_ sDot: Buffer<Double>, _ run: Run<A>) -> Buffer<Double> {
    let context = run.context, sDot = SqueezeExcitation<A>.tensor(sDot, logits.y.shape, context)
    let hiddenDot = hidden.tangent(.plain(sDot), adding: nil, target: gate, run)
    let aDot = Self.values(logits.forwardTangent(.plain(hiddenDot), run).tensor, context)
    self.aDot = aDot
    let gDot = Buffer<Double>(count: g.count)
    for i in 0..<g.count { gDot[i] = g[i] * (1 - g[i]) * aDot[i] }
    return gDot
  }

  func backward(_ gBar: Buffer<Double>, _ pass: BackwardPass, _ run: Run<A>) -> Buffer<Double> {
    let context = run.context, aBar = Buffer<Double>(count: g.count)
    for i in 0..<g.count { aBar[i] = g[i] * (1 - g[i]) * gBar[i] }
    if case .regularized(_, let weight) = pass, let recorded, let aDot {
      for i in 0..<g.count { aBar[i] += weight * g[i] * (1 - g[i]) * (1 - 2 * g[i]) * aDot[i] * recorded[i] }
    }
    if pass.gradients == nil { recorded = gBar }
    let bar = SqueezeExcitation<A>.tensor(aBar, logits.y.shape, context)
    let hiddenBar = logits.backward(Gradient(tensor: bar, sums: .none), target: gate, pass, run)
    return Self.values(hidden.backward(hiddenBar, target: .plain, pass, run).tensor, context)
  }
}
