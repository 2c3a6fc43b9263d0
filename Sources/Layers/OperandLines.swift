import Kernels
import Tensors

/// Lines of pixels of several operands side by side, in float64: for what is computed pixel by pixel from more than a
/// kernel reads.
///
/// All have the same images, each channels of its own. A map of another size than the first is read at the nearest pixel, as
/// an addend is. Precision: what is read is an accumulator, what is
/// stored is rounded to one and then to storage. Collectives: none.
package struct OperandLines<E: Element> {
  /// One line: the values of each operand, pixel after pixel.
  package struct Line {
    fileprivate let values: [UnsafeMutablePointer<Double>]
    /// Values of the widest operand.
    package let count: Int

    package subscript(operand: Int) -> UnsafeMutablePointer<Double> { values[operand] }
  }

  private let operands: [Operand<E>]
  private let views: [OperandView<E>]
  private let shape: Shape

  package init(_ operands: [Operand<E>], _ context: Context<E>) {
    let shape = operands[0].shape
    precondition(operands.allSatisfy { $0.shape.images == shape.images })
    (self.operands, self.shape) = (operands, shape)
    views = operands.map { $0.view(.exact) }
  }

  /// A new tensor: what `body` writes for each line, plus `addend`.
  package func store(
    _ output: Shape, adding addend: Tensor<E>? = nil, _ context: Context<E>,
    _ body: (_ line: Line, _ out: UnsafeMutablePointer<Double>) -> Void
  ) -> Tensor<E> {
    var epilogue = Epilogue(out: context.tensor(output))
    epilogue.addend = addend
    run(epilogue, context, body)
    return epilogue.out
  }

  /// What `body` writes for each line, finished by `epilogue`, whose sums over this rank are returned.
  @discardableResult
  func run(
    _ epilogue: Epilogue<E>, _ context: Context<E>,
    _ body: (_ line: Line, _ out: UnsafeMutablePointer<Double>) -> Void
  ) -> Sums {
    let output = epilogue.out.shape
    precondition(output.with(channels: 1) == shape.with(channels: 1))
    let width = shape.width, kernels = context.kernels
    let counts = operands.map { width * $0.shape.channels }
    let most = operands.reduce(width * output.channels) { max($0, max(width, $1.shape.width) * $1.shape.channels) }
    context.workers.work.move(.activations, operands.reduce(0) { $0 + $1.bytes })
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: width, context) { line, rows in
      // A line of each operand, of the result, and of accumulators.
      withUnsafeTemporaryAllocation(of: Double.self, capacity: (operands.count + 2) * most) { scratch in
        let out = scratch.baseAddress!,
          accumulators = UnsafeMutableRawPointer(out + most).assumingMemoryBound(to: E.Accumulator.self)
        let values = operands.indices.map { out + (2 + $0) * most }
        let image = line / shape.height, row = line % shape.height
        for (index, operand) in operands.enumerated() {
          let map = operand.shape
          kernels.read(
            views[index], image: image,
            pixel: image * map.area + row * map.height / shape.height * map.width, map.width, channels: map.channels,
            into: accumulators)
          SumConversion.widen(accumulators, count: map.width * map.channels, to: values[index])
          if map.width != width { Self.spread(values[index], map.width, to: width, channels: map.channels) }
        }
        body(Line(values: values, count: counts.max()!), out)
        SumConversion.narrow(out, count: width * output.channels, to: rows)
      }
      return output.channels
    }
    withExtendedLifetime(operands) {}
    return sums
  }

  /// The nearest of `columns` pixels for each of `width`, in place: from the end on where there are to be more.
  private static func spread(_ pixels: UnsafeMutablePointer<Double>, _ columns: Int, to width: Int, channels: Int) {
    for step in 0..<width {
      let column = columns < width ? width - 1 - step : step, from = column * columns / width
      for i in 0..<channels { pixels[column * channels + i] = pixels[from * channels + i] }
    }
  }
}
