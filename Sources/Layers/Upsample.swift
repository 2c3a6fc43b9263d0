import Foundation
import Tensors

/// Nearest upsampling, from n×h×w×c to n×H×W×c: y[i, j] = x[⌊i·h/H⌋, ⌊j·w/W⌋], and x̄ = Σ of the ȳ that copied it.
///
/// Linear: its tangent passes are these two again. An `Epilogue` whose addend is smaller than its output reads it upsampled, so mostly there is nothing to compute.
/// Precision: x̄ is summed in float64 and rounded once. Collectives: none.
package enum Upsample<E: Element> {
  /// y of height × width.
  package static func forward(_ x: Tensor<E>, height: Int, width: Int, _ context: Context<E>) -> Tensor<E> {
    let rowBytes = x.shape.channels * MemoryLayout<E.Accumulator>.size
    var epilogue = Epilogue(out: context.tensor(Shape(x.shape.images, height, width, x.shape.channels)))
    epilogue.addend = x
    _ = RowStore.run(epilogue, lines: x.shape.images * height, columns: width, context) { _, rows in
      memset(rows, 0, rowBytes)
      return 0
    }
    return epilogue.out
  }

  /// x̄ for inputs of height × width.
  package static func backward(_ yBar: Tensor<E>, height: Int, width: Int, _ context: Context<E>) -> Tensor<E> {
    let output = yBar.shape, input = Shape(output.images, height, width, output.channels)
    let copiesOfRow = sources(output.height, height), copiesOfColumn = sources(output.width, width)
    let epilogue = Epilogue(out: context.tensor(input))
    context.workers.work.move(.activations, yBar.bytes)
    _ = RowStore.run(epilogue, lines: input.images * height, columns: width, context) { line, rows in
      let first = line / height * output.area
      var sums = [Double](repeating: 0, count: input.channels)
      for column in 0..<width {
        for i in sums.indices { sums[i] = 0 }
        let pixels = copiesOfRow[line % height].flatMap { r in
          copiesOfColumn[column].map { UInt32(first + r * output.width + $0) }
        }
        context.kernels.sum(yBar.pointer, pixels: pixels, channels: input.channels, into: &sums)
        SumConversion.narrow(sums, count: sums.count, to: rows + column * input.channels)
      }
      return input.channels
    }
    return epilogue.out
  }

  /// For each of `inputs` positions, the outputs that are copies of it.
  private static func sources(_ outputs: Int, _ inputs: Int) -> [[Int]] {
    var copies = [[Int]](repeating: [], count: inputs)
    for output in 0..<outputs { copies[output * inputs / outputs].append(output) }
    return copies
  }
}
