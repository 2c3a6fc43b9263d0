import Foundation
import Tensors

/// The mean over an image's pixels, into columns of a matrix of accumulators.
///
///     y[n, first + c] = m(x[n, ·, ·, c])         x̄[n, h, w, c] = ȳ[n, first + c] / (h·w)
///
/// Linear: its tangent passes are these two again.
///
/// x: n×h×w×c of storage elements, y: n×1×1×C of accumulators. Precision: float64 within an image. Collectives: none.
package enum GlobalAverage<E: Element> {
  /// x has to be stored as it is.
  package static func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ context: Context<E>) {
    precondition(x.isPlain, "a map that is averaged is stored")
    let sums = PixelSums.perImage(x.tensor, context)
    guard !sums.isEmpty else { return }
    let channels = x.shape.channels
    for image in 0..<x.shape.images {
      for channel in 0..<channels {
        y.pointer[image * y.shape.channels + first + channel] = E.Accumulator(
          sums[image * channels + channel] / Double(x.shape.area))
      }
    }
  }

  /// x̄ + `addend` of a tensor of shape `shape`, finished by its target.
  package static func backward(
    _ yBar: Tensor<E.Accumulator>, first: Int, _ shape: Shape, adding addend: Tensor<E>? = nil,
    _ target: GradientTarget<E>, _ context: Context<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.addend = addend
    epilogue.target = target
    let channels = shape.channels, rowBytes = channels * MemoryLayout<E.Accumulator>.size
    let inverseArea = 1 / E.Accumulator(shape.area)
    let mean = Buffer<E.Accumulator>(count: shape.images * channels)
    if !context.workers.isRehearsal {
      for image in 0..<shape.images {
        let source = yBar.pointer + image * yBar.shape.channels + first
        for channel in 0..<channels { mean[image * channels + channel] = source[channel] * inverseArea }
      }
    }
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      memcpy(rows, mean.pointer + line / shape.height * channels, rowBytes)
      return 0
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
