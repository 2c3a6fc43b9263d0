import Tensors

/// The end of a residual block: y = max(0, ẑ + shortcut), the only activation of a block that is written.
///
///     shortcut = x, or ẑ₂ = normalized downsample          ẑ = scale·z + shift
///     ẏ = (ẑ˙ + shortcut˙)·[y > 0]
///     backward: g = ȳ·[y > 0] is the gradient of ẑ and of the shortcut alike (see `target`); backwardTangent likewise
///
/// Precision: sums in the accumulator, y rounded once. Collectives: none.
package enum ResidualJoin<E: Element> {
  package enum Shortcut {
    case identity(Tensor<E>)
    case normalized(GradientTarget<E>.Normalized)
  }

  package static func forward(_ z: GradientTarget<E>.Normalized, _ shortcut: Shortcut, _ context: Context<E>) -> Tensor<
    E
  > {
    let y = context.tensor(z.z.shape)
    context.workers.work.move(.activations, 3 * y.bytes)
    let shape = y.shape, kernels = context.kernels
    forEachBlock(of: shape, context) { image, first, count in
      let offset = first * shape.channels, own = image * z.state.imageStride
      let scale = z.state.scale.pointer + own, shift = z.state.shift.pointer + own
      switch shortcut {
      case .identity(let x):
        kernels.join(
          z.z.pointer + offset, scale: scale, shift: shift, x.pointer + offset, count, channels: shape.channels,
          into: y.pointer + offset)
      case .normalized(let n):
        let own = image * n.state.imageStride
        kernels.join(
          z.z.pointer + offset, scale: scale, shift: shift, n.z.pointer + offset, scale2: n.state.scale.pointer + own,
          shift2: n.state.shift.pointer + own, count, channels: shape.channels, into: y.pointer + offset)
      }
    }
    return y
  }

  /// ẏ + v from the pending ẑ˙ and the shortcut's tangent, plain or pending.
  package static func forwardTangent(
    y: Tensor<E>, _ zDot: Operand<E>, shortcut: Operand<E>, adding v: Tensor<E>?, _ context: Context<E>
  ) -> Tensor<E> {
    let yDot = context.tensor(y.shape)
    context.workers.work.move(.activations, zDot.bytes + shortcut.bytes + (v == nil ? 2 : 3) * y.bytes)
    let shape = y.shape, kernels = context.kernels
    let z = zDot.view(.exact), side = shortcut.view(.exact)
    forEachBlock(of: shape, context) { image, first, count in
      kernels.joinTangent(
        y: y.pointer, z, side, adding: v.map { UnsafePointer($0.pointer) }, image: image, pixel: first, count,
        channels: shape.channels, into: yDot.pointer)
    }
    withExtendedLifetime((zDot, shortcut)) {}
    return yDot
  }

  /// Some pixels of one image at a time: `count` from `first` on.
  private static func forEachBlock(
    of shape: Shape, _ context: Context<E>, _ body: (_ image: Int, _ first: Int, _ count: Int) -> Void
  ) {
    let block = max(1, 65_536 / shape.channels), blocks = (shape.area + block - 1) / block
    context.workers.parallelFor(shape.images * blocks) { index, _ in
      let image = index / blocks, start = index % blocks * block
      body(image, image * shape.area + start, min(block, shape.area - start))
    }
  }

  /// The target for a gradient of y.
  package static func target(y: Tensor<E>, _ z: GradientTarget<E>.Normalized, _ shortcut: Shortcut) -> GradientTarget<E>
  {
    switch shortcut {
    case .identity: GradientTarget(gate: .positive(y), norms: [z])
    case .normalized(let n): GradientTarget(gate: .positive(y), norms: [z, n])
    }
  }
}
