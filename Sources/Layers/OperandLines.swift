import Kernels
import Tensors

/// Lines of pixels of several operands side by side, in float64: for what is computed pixel by pixel from more than a
/// kernel reads.
///
/// All have the same images, height and width, each channels of its own. Precision: what is read is an accumulator, what is
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
    precondition(operands.allSatisfy { $0.shape.with(channels: 1) == shape.with(channels: 1) })
    (self.operands, self.shape) = (operands, shape)
    views = operands.map { $0.view(.exact) }
  }

  /// A new tensor: what `body` writes for each line, plus `addend`.
  package func store(
    _ output: Shape, adding addend: Tensor<E>? = nil, _ context: Context<E>,
    _ body: (_ line: Line, _ out: UnsafeMutablePointer<Double>) -> Void
  ) -> Tensor<E> {
    precondition(output.with(channels: 1) == shape.with(channels: 1))
    var epilogue = Epilogue(out: context.tensor(output))
    epilogue.addend = addend
    let width = shape.width, kernels = context.kernels
    let counts = operands.map { width * $0.shape.channels }, most = max(counts.max()!, width * output.channels)
    context.workers.work.move(.activations, operands.reduce(0) { $0 + $1.bytes })
    _ = RowStore.run(epilogue, lines: shape.images * shape.height, columns: width, context) { line, rows in
      // A line of each operand, of the result, and of accumulators.
      withUnsafeTemporaryAllocation(of: Double.self, capacity: (operands.count + 2) * most) { scratch in
        let out = scratch.baseAddress!,
          accumulators = UnsafeMutableRawPointer(out + most).assumingMemoryBound(to: E.Accumulator.self)
        let values = operands.indices.map { out + (2 + $0) * most }
        for (index, operand) in operands.enumerated() {
          kernels.read(
            views[index], image: line / shape.height, pixel: line * width, width, channels: operand.shape.channels,
            into: accumulators)
          SumConversion.widen(accumulators, count: counts[index], to: values[index])
        }
        body(Line(values: values, count: counts.max()!), out)
        SumConversion.narrow(out, count: width * output.channels, to: rows)
      }
      return output.channels
    }
    withExtendedLifetime(operands) {}
    return epilogue.out
  }
}
