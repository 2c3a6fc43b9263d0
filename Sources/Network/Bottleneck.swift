import Layers
import Tensors

/// ResNet's bottleneck, torchvision's variant (the stride in the 3×3):
///
///     y = max(0, n₃(W₃∗max(0, n₂(W₂∗max(0, n₁(W₁∗x))))) + shortcut),  shortcut = x or n_d(W_d∗x)
///
/// Saved for the backward pass: x, the raw z₁, z₂, z₃ (z_d) and y. Nothing else is written. A recording backward pass adds
/// the gradients of the normalizations, a tangent pass ẋ, ż₁, ż₂, ż₃ (ż_d).
package final class Bottleneck<E: Element> {
  package let first: NormalizedConvolution<E>, second: NormalizedConvolution<E>, third: NormalizedConvolution<E>
  package let downsample: NormalizedConvolution<E>?

  package init(
    first: NormalizedConvolution<E>, second: NormalizedConvolution<E>, third: NormalizedConvolution<E>,
    downsample: NormalizedConvolution<E>? = nil
  ) {
    (self.first, self.second, self.third, self.downsample) = (first, second, third, downsample)
  }

  package struct Saved {
    fileprivate let x: Tensor<E>
    fileprivate var first: NormalizedConvolution<E>.Saved, second: NormalizedConvolution<E>.Saved
    fileprivate var third: NormalizedConvolution<E>.Saved, downsample: NormalizedConvolution<E>.Saved?
    package let y: Tensor<E>

    /// The stored tangents, if the block was perturbed.
    var tangents: [Tensor<E>] { [first, second, third, downsample].compactMap { $0?.zDot } }

    fileprivate var shortcut: ResidualJoin<E>.Shortcut { downsample.map { .normalized($0.normalized) } ?? .identity(x) }

    /// The target for a gradient of y.
    package var target: GradientTarget<E> { ResidualJoin.target(y: y, third.normalized, shortcut) }
  }

  package func forward(
    _ x: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<E>
  ) throws -> Saved {
    let first = try first.forward(.plain(x), parameters, &updates, training: training, context)
    let second = try second.forward(first.activation, parameters, &updates, training: training, context)
    let third = try third.forward(second.activation, parameters, &updates, training: training, context)
    let side = try downsample?.forward(.plain(x), parameters, &updates, training: training, context)
    let y = ResidualJoin.forward(third.normalized, side.map { .normalized($0.normalized) } ?? .identity(x), context)
    return Saved(x: x, first: first, second: second, third: third, downsample: side, y: y)
  }

  /// From ẋ (times τ) to ẏ + v. After a recording backward pass.
  package func forwardTangent(
    _ saved: inout Saved, _ xDot: Tensor<E>, adding v: Tensor<E>? = nil, _ parameters: Parameters<E.Accumulator>,
    _ context: Context<E>
  ) throws -> Tensor<E> {
    try first.forwardTangent(&saved.first, .plain(xDot), parameters, context)
    try second.forwardTangent(&saved.second, saved.first.activationTangent, parameters, context)
    try third.forwardTangent(&saved.third, saved.second.activationTangent, parameters, context)
    try downsample?.forwardTangent(&saved.downsample!, .plain(xDot), parameters, context)
    return ResidualJoin.forwardTangent(
      y: saved.y, saved.third.normalizedTangent, shortcut: saved.downsample?.normalizedTangent ?? .plain(xDot),
      adding: v,
      context)
  }

  /// From the gradient of y (finished by `saved.target`) to that of x, finished by `target`. Which gradients, `pass` says.
  ///
  /// `addend`: what else contributes to the gradient of x (only with a downsample).
  package func backward(
    _ saved: inout Saved, _ yBar: Gradient<E>, addend: Tensor<E>? = nil, target: GradientTarget<E>,
    _ parameters: Parameters<E.Accumulator>, _ pass: BackwardPass, _ context: Context<E>
  ) throws -> Gradient<E> {
    let channels = third.norm.channels
    let z3Bar = try third.backward(&saved.third, yBar.tensor, sums: yBar.sums, parameters, pass, context)
    let a2Bar = dataGradient(third, z3Bar, saved.second, context)
    let z2Bar = try second.backward(&saved.second, a2Bar.tensor, sums: a2Bar.sums, parameters, pass, context)
    let a1Bar = dataGradient(second, z2Bar, saved.first, context)
    let z1Bar = try first.backward(&saved.first, a1Bar.tensor, sums: a1Bar.sums, parameters, pass, context)

    var epilogue = Epilogue(out: context.tensor(saved.x.shape))
    epilogue.target = target
    if let downsample {
      let sums = Array(yBar.sums[0..<channels] + yBar.sums[2 * channels..<3 * channels])
      let zBar = try downsample.backward(&saved.downsample!, yBar.tensor, sums: sums, parameters, pass, context)
      var raw = Epilogue(out: context.tensor(saved.x.shape))
      raw.addend = addend
      downsample.convolution.backwardData(zBar, raw, context)
      epilogue.addend = raw.out
    } else {
      precondition(addend == nil, "the input of an identity block has no other reader")
      epilogue.addend = yBar.tensor
    }
    let sums = first.convolution.backwardData(z1Bar, epilogue, context)
    return Gradient(tensor: epilogue.out, sums: sums)
  }

  private func dataGradient(
    _ unit: NormalizedConvolution<E>, _ zBar: Operand<E>, _ below: NormalizedConvolution<E>.Saved, _ context: Context<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: context.tensor(below.z.shape))
    epilogue.target = below.target
    let sums = unit.convolution.backwardData(zBar, epilogue, context)
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
