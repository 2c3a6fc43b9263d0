import Foundation
import Tensors

/// The largest of an image's pixels, channel by channel, into columns of a matrix of accumulators.
///
///     y[n, first + c] = x[n, i*, c],  i* = argmax over pixels i of x[n, i, c]
///     ẏ[n, first + c] = ẋ[n, i*, c]
///     x̄[n, i, c] = ȳ[n, first + c]·[i = i*]              x̄˙ from ȳ˙ as x̄ from ȳ
///
/// The first of equal values wins, as in PyTorch, and a NaN wins over all. Kept: i*, four bytes an image and channel.
///
/// x: n×h×w×c of storage elements, y: n×1×1×C of accumulators. Precision: exact. Collectives: none.
package final class GlobalMax<E: Element>: Pool {
  package init() {}

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.pooledMaxima(x)
  }

  /// x has to be stored as it is.
  package func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>)
    -> any PoolPasses<E>
  {
    precondition(x.isPlain, "a map that is pooled is stored")
    let shape = x.shape, channels = shape.channels, count = shape.images * channels, context = run.context
    let winners = Buffer<UInt32>(count: count), largest = Buffer<Double>(count: count)
    let kernels = context.kernels, pointer = x.tensor.pointer, lineCount = shape.width * channels
    context.workers.work.move(.activations, x.bytes)
    context.workers.reserveScratch(bytes: lineCount * MemoryLayout<Double>.size)
    context.workers.parallelFor(shape.images) { image, worker in
      let line = context.workers.scratch(worker).assumingMemoryBound(to: Double.self)
      let best = largest.pointer + image * channels, winner = winners.pointer + image * channels
      for row in 0..<shape.height {
        kernels.widen(pointer + (image * shape.height + row) * lineCount, lineCount, into: line)
        for column in 0..<shape.width {
          let pixel = UInt32(row * shape.width + column), values = line + column * channels
          for c in 0..<channels where pixel == 0 || values[c] > best[c] || values[c].isNaN && !best[c].isNaN {
            (best[c], winner[c]) = (values[c], pixel)
          }
        }
      }
    }
    withExtendedLifetime(x) {}
    if !context.workers.isRehearsal { y.setColumns(first, channels, from: largest) }
    return GlobalMaxPasses(shape, first: first, winners)
  }
}

private final class GlobalMaxPasses<E: Element>: PoolPasses {
  private let shape: Shape, first: Int
  /// Of each image and channel.
  private let winners: Buffer<UInt32>

  init(_ shape: Shape, first: Int, _ winners: Buffer<UInt32>) {
    (self.shape, self.first, self.winners) = (shape, first, winners)
  }

  func forwardTangent(_ xDot: Operand<E>, into yDot: Tensor<E.Accumulator>, _ run: Run<E>) {
    precondition(xDot.isPlain, "a map that is pooled is stored")
    guard !run.context.workers.isRehearsal else { return }
    let channels = shape.channels, source = xDot.tensor.pointer
    for image in 0..<shape.images {
      let row = yDot.pointer + image * yDot.shape.channels + first
      for c in 0..<channels {
        let pixel = image * shape.area + Int(winners[image * channels + c])
        row[c] = E.Accumulator(source[pixel * channels + c])
      }
    }
    withExtendedLifetime(xDot) {}
  }

  func backward(
    _ yBar: Tensor<E.Accumulator>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass,
    _ run: Run<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: run.context.tensor(shape))
    epilogue.addend = addend
    epilogue.target = target
    let channels = shape.channels, size = MemoryLayout<E.Accumulator>.size, width = shape.width
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: width, run.context) { line, rows in
      let image = line / shape.height, firstPixel = line % shape.height * width
      let bars = yBar.pointer + image * yBar.shape.channels + first
      let winner = winners.pointer + image * channels
      memset(rows, 0, width * channels * size)
      for c in 0..<channels {
        let column = Int(winner[c]) - firstPixel
        guard 0 <= column && column < width else { continue }
        rows[column * channels + c] = bars[c]
      }
      return channels
    }
    withExtendedLifetime(yBar) {}
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
