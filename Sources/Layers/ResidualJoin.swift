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
    let shape = y.shape, join = context.kernels.elementwise.join!
    let block = max(1, 65_536 / shape.channels)
    context.workers.parallelFor((shape.pixels + block - 1) / block) { index, _ in
      let first = index * block, count = min(block, shape.pixels - first), offset = first * shape.channels
      let scale = z.state.scale.pointer, shift = z.state.shift.pointer
      switch shortcut {
      case .identity(let x):
        join(
          z.z.pointer + offset, scale, shift, x.pointer + offset, nil, nil, count, shape.channels, y.pointer + offset)
      case .normalized(let n):
        join(
          z.z.pointer + offset, scale, shift, n.z.pointer + offset, n.state.scale.pointer, n.state.shift.pointer, count,
          shape.channels, y.pointer + offset)
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
    let shape = y.shape, join = context.kernels.elementwise.join_tangent!
    let block = max(1, 65_536 / shape.channels), z = zDot.view(.exact), side = shortcut.view(.exact)
    context.workers.parallelFor((shape.pixels + block - 1) / block) { index, _ in
      var z = z, side = side
      let first = index * block
      join(
        y.pointer, &z, &side, v?.pointer, first, min(block, shape.pixels - first), shape.channels, yDot.pointer)
    }
    withExtendedLifetime((zDot, shortcut)) {}
    return yDot
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
