import Tensors

/// 3×3 max pooling, stride 2, padding 1, of a pending activation.
///
///     y[i, j] = max over taps t of x[2i + t_row − 1, 2j + t_column − 1]      x̄ = Σ of the ȳ whose winning tap it is
///     ẏ[i, j] = ẋ at the winning tap                                         x̄˙ from ȳ˙ as x̄ from ȳ
///
/// x: n×h×w×c, y: n×⌈h/2⌉×⌈w/2⌉×c. The first of equal values wins, as in PyTorch. Collectives: none.
package enum MaxPool<E: Element> {
  package struct Saved {
    package let y: Tensor<E>
    /// The winning tap (0…8) of each output.
    fileprivate let index: Arena.Block
    fileprivate var taps: UnsafeMutablePointer<UInt8> { index.pointer.assumingMemoryBound(to: UInt8.self) }
  }

  package static func outputShape(_ x: Shape) -> Shape {
    Shape(x.images, (x.height + 1) / 2, (x.width + 1) / 2, x.channels)
  }

  /// `x` has to be a pending activation.
  package static func forward(_ x: Operand<E>, _ context: Context<E>) -> Saved {
    precondition(!x.isPlain)
    let input = x.shape, output = outputShape(input)
    let saved = Saved(y: context.tensor(output), index: context.arena.block(bytes: output.count))
    context.workers.work.move(.activations, x.bytes + saved.y.bytes + output.count)
    let view = x.view(.exact), kernels = context.kernels
    context.workers.parallelFor(output.images * output.height) { line, _ in
      let image = line / output.height, offset = line * output.width * output.channels
      kernels.maxPool(
        view, image: image, pixel: image * input.area, input, row: line % output.height, into: saved.y.pointer + offset,
        index: saved.taps + offset)
    }
    withExtendedLifetime(x) {}
    return saved
  }

  /// ẏ from the pending tangent of the activation.
  package static func forwardTangent(_ saved: Saved, _ xDot: Operand<E>, _ context: Context<E>) -> Tensor<E> {
    let input = xDot.shape, output = saved.y.shape
    let yDot = context.tensor(output)
    context.workers.work.move(.activations, xDot.bytes + yDot.bytes + output.count)
    let view = xDot.view(.exact), kernels = context.kernels
    context.workers.parallelFor(output.images * output.height) { line, _ in
      let image = line / output.height, offset = line * output.width * output.channels
      kernels.maxPoolTangent(
        view, image: image, pixel: image * input.area, input, row: line % output.height, index: saved.taps + offset,
        into: yDot.pointer + offset)
    }
    withExtendedLifetime(xDot) {}
    return yDot
  }

  /// x̄ (or, from h, x̄ + λx̄˙), finished by the target of the activation.
  package static func backward(
    _ saved: Saved, _ yBar: Tensor<E>, _ input: Shape, _ target: GradientTarget<E>, _ context: Context<E>
  ) -> Gradient<E> {
    let output = saved.y.shape, kernels = context.kernels
    var epilogue = Epilogue(out: context.tensor(input))
    epilogue.target = target
    context.workers.work.move(.activations, yBar.bytes + output.count)
    let sums = RowStore.run(epilogue, lines: input.images * input.height, columns: input.width, context) { line, rows in
      let offset = line / input.height * output.area * output.channels
      kernels.maxPoolBackward(
        yBar.pointer + offset, index: saved.taps + offset, input, row: line % input.height, into: rows)
      return input.channels
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
