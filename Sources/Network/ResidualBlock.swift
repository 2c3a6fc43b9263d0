import Layers
import Tensors

/// A residual block: units one after the other, the last without a ReLU of its own, joined with a shortcut.
///
///     y = max(0, unit_k(… unit₁(x)) + shortcut),  shortcut = x or n_d(W_d∗x)
///
/// Saved for the backward pass: x, the raw z of every unit and y. Nothing else is written. A recording backward pass adds
/// the gradients of the normalizations, a tangent pass ẋ and every ż.
package final class ResidualBlock<E: Element>: Layer {
  private let units: [NormalizedConvolution<E>]
  private let downsample: NormalizedConvolution<E>?

  package init(_ units: [NormalizedConvolution<E>], downsample: NormalizedConvolution<E>? = nil) {
    precondition(!units.isEmpty && units.last?.isActivated == false && downsample?.isActivated != true)
    (self.units, self.downsample) = (units, downsample)
  }

  /// x has to be stored as it is.
  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    var passes: [UnitPasses<E>] = [], current = x
    for unit in units {
      passes.append(try unit.pass(current, run))
      current = passes[passes.count - 1].y
    }
    let side = try downsample?.pass(x, run), last = passes[passes.count - 1]
    let shortcut: ResidualJoin<E>.Shortcut = side.map { .normalized($0.normalized) } ?? .identity(x.value.tensor)
    let y = ResidualJoin.forward(last.normalized, shortcut, run.context)
    let target = ResidualJoin.target(y: y, last.normalized, shortcut)
    return ResidualPasses(units: passes, downsample: side, y: Feature(.plain(y), target))
  }
}

private final class ResidualPasses<E: Element>: Passes {
  let y: Feature<E>
  private let units: [UnitPasses<E>], downsample: UnitPasses<E>?

  init(units: [UnitPasses<E>], downsample: UnitPasses<E>?, y: Feature<E>) {
    (self.units, self.downsample, self.y) = (units, downsample, y)
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    var current = xDot
    for unit in units { current = try unit.forwardTangent(current, run) }
    let side = try downsample?.forwardTangent(xDot, run)
    return .plain(
      ResidualJoin.forwardTangent(y: y.value.tensor, current, shortcut: side ?? xDot, adding: v, run.context))
  }

  /// `addend` only with a downsample: the input of an identity block has no other reader.
  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    var zBar = try units[units.count - 1].backward(yBar, pass, run)
    for index in units.indices.dropFirst().reversed() {
      let below = units[index - 1]
      let gradient = try units[index].dataGradient(zBar, target: below.y.target, run)
      zBar = try below.backward(gradient, pass, run)
    }
    let shortcutBar: Tensor<E>
    if let downsample {
      let gradient = Gradient(tensor: yBar.tensor, sums: yBar.sums.ofSecondNorm)
      shortcutBar = try downsample.backward(gradient, adding: addend, target: .plain, pass, run).tensor
    } else {
      precondition(addend == nil, "the input of an identity block has no other reader")
      shortcutBar = yBar.tensor
    }
    return try units[0].dataGradient(zBar, adding: shortcutBar, target: target, run)
  }

  var storedTangents: [Tensor<E>] { (units + [downsample].compactMap { $0 }).flatMap { $0.storedTangents } }
}

extension NetworkBuilder {
  /// ResNet's bottleneck, torchvision's variant (the stride in the 3×3) and names below `name`: conv1, bn1, …,
  /// downsample.0, downsample.1. Its first norm is `firstNorm`'s matter; a gate of channels
  /// comes before the join, as in SE-ResNet.
  package mutating func bottleneck(
    _ name: String, inputs: Int, inner: Int, stride: Int, downsample: Bool, stage: Int
  ) -> ResidualBlock<E> {
    let outputs = 4 * inner
    let units = [
      NormalizedConvolution(
        convolution(name + ".conv1", inputs, inner), firstNorm(name + ".bn1", inner, stage: stage)),
      NormalizedConvolution(
        convolution(name + ".conv2", inner, inner, kernel: 3, stride: stride), norm(name + ".bn2", inner)),
      NormalizedConvolution(
        convolution(name + ".conv3", inner, outputs), norm(name + ".bn3", outputs), isActivated: false,
        gate: channelGate(name, outputs)),
    ]
    return ResidualBlock(units, downsample: downsample ? shortcut(name, inputs, outputs, stride: stride) : nil)
  }

  /// The block of ResNet-18 and 34: two 3×3, names as above.
  package mutating func basicBlock(
    _ name: String, inputs: Int, outputs: Int, stride: Int, downsample: Bool, stage: Int
  ) -> ResidualBlock<E> {
    let units = [
      NormalizedConvolution(
        convolution(name + ".conv1", inputs, outputs, kernel: 3, stride: stride),
        firstNorm(name + ".bn1", outputs, stage: stage)),
      NormalizedConvolution(
        convolution(name + ".conv2", outputs, outputs, kernel: 3), norm(name + ".bn2", outputs), isActivated: false,
        gate: channelGate(name, outputs)),
    ]
    return ResidualBlock(units, downsample: downsample ? shortcut(name, inputs, outputs, stride: stride) : nil)
  }

  package mutating func shortcut(_ name: String, _ inputs: Int, _ outputs: Int, stride: Int) -> NormalizedConvolution<E>
  {
    NormalizedConvolution(
      convolution(name + ".downsample.0", inputs, outputs, stride: stride), norm(name + ".downsample.1", outputs),
      isActivated: false)
  }
}
