import Tensors

/// What windows see at the border of a map.
package enum PoolBorder: String, CaseIterable, Sendable {
  case padded, ceil

  package var meaning: String {
    switch self {
    case .padded: "a pixel of padding, as in torchvision"
    case .ceil: "no padding, and a last window that hangs over the edge, as in fast-reid (`ceil_mode`)"
    }
  }

  fileprivate var padding: Int { self == .padded ? 1 : 0 }
}

/// 3×3 max pooling, stride 2, of a pending activation, with p pixels of padding: 1, or 0 with `ceil`.
///
///     y[i, j] = max over taps t of x[2i + t_row − p, 2j + t_column − p]      x̄ = Σ of the ȳ whose winning tap it is
///     ẏ[i, j] = ẋ at the winning tap                                         x̄˙ from ȳ˙ as x̄ from ȳ
///
/// x: n×h×w×c, y: n×⌊(h + p)/2⌋×⌊(w + p)/2⌋×c. The first of equal values wins, as in PyTorch. Collectives: none.
package enum MaxPool<E: Element> {
  package struct Saved {
    package let y: Tensor<E>
    fileprivate let border: PoolBorder
    /// The winning tap (0…8) of each output.
    fileprivate let index: Arena.Block
    fileprivate var taps: UnsafeMutablePointer<UInt8> { index.pointer.assumingMemoryBound(to: UInt8.self) }
  }

  package static func outputShape(_ x: Shape, _ border: PoolBorder) -> Shape {
    Shape(x.images, (x.height + border.padding) / 2, (x.width + border.padding) / 2, x.channels)
  }

  /// y as operators of `graph`.
  package static func express(
    _ x: InferenceGraph.Value, _ border: PoolBorder, in graph: InferenceGraph
  ) -> InferenceGraph.Value {
    let output = outputShape(Shape(1, x.height, x.width, x.channels), border)
    return graph.add(
      "MaxPool", [x.name], extent: [output.channels, output.height, output.width],
      [
        ("kernel_shape", .integers([3, 3])), ("strides", .integers([2, 2])),
        ("pads", .integers([Int](repeating: border.padding, count: 4))),
        ("ceil_mode", .integer(border == .ceil ? 1 : 0)),
      ])
  }

  /// `x` has to be a pending activation, of at least 2 pixels a side where nothing is padded.
  package static func forward(_ x: Operand<E>, _ border: PoolBorder = .padded, _ context: Context<E>) -> Saved {
    precondition(!x.isPlain && (border == .padded || min(x.shape.height, x.shape.width) > 1))
    let input = x.shape, output = outputShape(input, border)
    let saved = Saved(y: context.tensor(output), border: border, index: context.arena.block(bytes: output.count))
    context.workers.work.move(.activations, x.bytes + saved.y.bytes + output.count)
    let view = x.view(.exact), kernels = context.kernels
    context.workers.parallelFor(output.images * output.height) { line, _ in
      let image = line / output.height, offset = line * output.width * output.channels
      kernels.maxPool(
        view, image: image, pixel: image * input.area, input, padding: border.padding, row: line % output.height,
        into: saved.y.pointer + offset, index: saved.taps + offset)
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
        view, image: image, pixel: image * input.area, input, padding: saved.border.padding, row: line % output.height,
        index: saved.taps + offset, into: yDot.pointer + offset)
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
        yBar.pointer + offset, index: saved.taps + offset, input, padding: saved.border.padding,
        row: line % input.height, into: rows)
      return input.channels
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
