import Layers
import Tensors

/// A residual block: layers one after the other, the last a unit without a ReLU of its own, joined with a shortcut.
///
///     y = max(0, unit_k(… unit₁(x)) + shortcut),  shortcut = x or n_d(W_d∗x)
///
/// Saved for the backward pass: x, the raw z of every unit and y. Nothing else is written. A recording backward pass adds
/// the gradients of the normalizations, a tangent pass ẋ and every ż. What stands between the first and the last unit may be
/// other layers.
package final class ResidualBlock<E: Element>: Layer {
  private let first: NormalizedConvolution<E>, inner: Sequential<E>?, last: NormalizedConvolution<E>
  private let downsample: NormalizedConvolution<E>?

  package init(
    _ first: NormalizedConvolution<E>, _ inner: [any Layer<E>], _ last: NormalizedConvolution<E>,
    downsample: NormalizedConvolution<E>? = nil
  ) {
    precondition(!last.isActivated && downsample?.isActivated != true)
    (self.first, self.last, self.downsample) = (first, last, downsample)
    self.inner = inner.isEmpty ? nil : Sequential(inner)
  }

  /// Two units or more.
  package convenience init(_ units: [NormalizedConvolution<E>], downsample: NormalizedConvolution<E>? = nil) {
    precondition(units.count >= 2)
    self.init(units[0], Array(units[1..<units.count - 1]), units[units.count - 1], downsample: downsample)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let inside = first.express(x, in: graph)
    let z = last.express(inner?.express(inside, in: graph) ?? inside, in: graph)
    return graph.rectified(graph.sum(z, downsample?.express(x, in: graph) ?? x))
  }

  /// x has to be stored as it is.
  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let first = try self.first.pass(x, run), inner = try self.inner?.forward(first.y, run)
    let last = try self.last.pass(inner?.y ?? first.y, run), side = try downsample?.pass(x, run)
    let shortcut: ResidualJoin<E>.Shortcut = side.map { .normalized($0.normalized) } ?? .identity(x.value.tensor)
    let y = ResidualJoin.forward(last.normalized, shortcut, run.context)
    let target = ResidualJoin.target(y: y, last.normalized, shortcut)
    return ResidualPasses(first, inner, last, downsample: side, y: Feature(.plain(y), target))
  }
}

private final class ResidualPasses<E: Element>: Passes {
  let y: Feature<E>
  private let first: UnitPasses<E>, inner: (any Passes<E>)?, last: UnitPasses<E>, downsample: UnitPasses<E>?

  init(
    _ first: UnitPasses<E>, _ inner: (any Passes<E>)?, _ last: UnitPasses<E>, downsample: UnitPasses<E>?, y: Feature<E>
  ) {
    (self.first, self.inner, self.last, self.downsample, self.y) = (first, inner, last, downsample, y)
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    var current = try first.forwardTangent(xDot, run)
    if let inner { current = try inner.forwardTangent(current, adding: nil, run) }
    current = try last.forwardTangent(current, run)
    let side = try downsample?.forwardTangent(xDot, run)
    return .plain(
      ResidualJoin.forwardTangent(y: y.value.tensor, current, shortcut: side ?? xDot, adding: v, run.context))
  }

  /// `addend` only with a downsample: the input of an identity block has no other reader.
  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    var gradient = try last.backward(yBar, target: inner?.y.target ?? first.y.target, pass, run)
    if let inner { gradient = try inner.backward(gradient, adding: nil, target: first.y.target, pass, run) }
    let zBar = try first.backward(gradient, pass, run)
    let shortcutBar: Tensor<E>
    if let downsample {
      let gradient = Gradient(tensor: yBar.tensor, sums: yBar.sums.ofSecondNorm)
      shortcutBar = try downsample.backward(gradient, adding: addend, target: .plain, pass, run).tensor
    } else {
      precondition(addend == nil, "the input of an identity block has no other reader")
      shortcutBar = yBar.tensor
    }
    return try first.dataGradient(zBar, adding: shortcutBar, target: target, run)
  }

  var storedTangents: [Tensor<E>] {
    first.storedTangents + (inner?.storedTangents ?? []) + last.storedTangents
      + (downsample?.storedTangents ?? [])
  }
}

extension NetworkBuilder {
  /// ResNet's bottleneck, torchvision's variant (the stride in the 3×3) and names below `name`: conv1, bn1, …,
  /// downsample.0, downsample.1. Its first norm is `firstNorm`'s matter; a gate of channels
  /// comes before the join, as in SE-ResNet.
  package mutating func bottleneck(
    _ name: String, inputs: Int, inner: Int, stride: Int, downsample: Bool, stage: Int
  ) -> ResidualBlock<E> {
    let outputs = 4 * inner
    let (first, firstActivation) = activated(name + ".atac1", stage: stage) { builder, isActivated in
      NormalizedConvolution(
        builder.convolution(name + ".conv1", inputs, inner), builder.firstNorm(name + ".bn1", inner, stage: stage),
        isActivated: isActivated)
    }
    let (second, secondActivation) = activated(name + ".atac2", stage: stage) { builder, isActivated in
      NormalizedConvolution(
        builder.convolution(name + ".conv2", inner, inner, kernel: 3, stride: stride),
        builder.norm(name + ".bn2", inner), isActivated: isActivated)
    }
    let last = NormalizedConvolution(
      convolution(name + ".conv3", inner, outputs), norm(name + ".bn3", outputs), isActivated: false,
      gate: channelGate(name, outputs))
    return ResidualBlock(
      first, firstActivation + [second] + secondActivation, last,
      downsample: downsample ? shortcut(name, inputs, outputs, stride: stride) : nil)
  }

  /// A unit whose ReLU may have given way to an activation of its own, which then follows it.
  private mutating func activated(
    _ activation: String, stage: Int, _ unit: (inout NetworkBuilder, _ isActivated: Bool) -> NormalizedConvolution<E>
  ) -> (NormalizedConvolution<E>, [any Layer<E>]) {
    let hasOwn = hasActivations(stage: stage), unit = unit(&self, !hasOwn)
    return (unit, hasOwn ? [self.activation(activation, unit.norm.channels)] : [])
  }

  /// The block of ResNet-18 and 34: two 3×3, names as above.
  package mutating func basicBlock(
    _ name: String, inputs: Int, outputs: Int, stride: Int, downsample: Bool, stage: Int
  ) -> ResidualBlock<E> {
    let (first, activation) = activated(name + ".atac1", stage: stage) { builder, isActivated in
      NormalizedConvolution(
        builder.convolution(name + ".conv1", inputs, outputs, kernel: 3, stride: stride),
        builder.firstNorm(name + ".bn1", outputs, stage: stage), isActivated: isActivated)
    }
    let last = NormalizedConvolution(
      convolution(name + ".conv2", outputs, outputs, kernel: 3), norm(name + ".bn2", outputs), isActivated: false,
      gate: channelGate(name, outputs))
    return ResidualBlock(
      first, activation, last, downsample: downsample ? shortcut(name, inputs, outputs, stride: stride) : nil)
  }

  package mutating func shortcut(_ name: String, _ inputs: Int, _ outputs: Int, stride: Int) -> NormalizedConvolution<E>
  {
    NormalizedConvolution(
      convolution(name + ".downsample.0", inputs, outputs, stride: stride), norm(name + ".downsample.1", outputs),
      isActivated: false)
  }
}
