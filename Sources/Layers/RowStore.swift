import Foundation
import Tensors

/// An epilogue without a GEMM: rows of accumulators that something else computes, finished line by line.
enum RowStore<E: Element> {
  /// For each line of `columns` pixels of `epilogue.out`: `fill(line, rows)` writes accumulators and returns the
  /// distance from one pixel's to the next one's (0: one row for the whole line). Returns the epilogue's sums over this
  /// rank.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  static func run(
    _ epilogue: Epilogue<E>, lines: Int, columns: Int, _ context: Context<E>,
    _ fill: (_ line: Int, _ rows: UnsafeMutablePointer<E.Accumulator>) -> Int
  ) -> Sums {
    let out = epilogue.out.shape, addend = epilogue.addend?.shape ?? out
    let channels = out.channels, size = MemoryLayout<E.Accumulator>.size
    context.workers.work.move(.activations, epilogue.bytes)
    let view = epilogue.view, kernels = context.kernels
    let rowBytes = (columns * channels * size + 63) / 64 * 64, sumBytes = (3 * channels * size + 63) / 64 * 64
    context.workers.reserveScratch(bytes: rowBytes + sumBytes + 2 * columns * 4)
    let partial = epilogue.hasSums && !context.workers.isRehearsal ? Buffer<Double>(count: lines * 3 * channels) : nil
    context.workers.parallelFor(lines) { line, worker in
      let scratch = context.workers.scratch(worker), rows = scratch.assumingMemoryBound(to: E.Accumulator.self)
      let sums = (scratch + rowBytes).assumingMemoryBound(to: E.Accumulator.self)
      let pixels = (scratch + rowBytes + sumBytes).assumingMemoryBound(to: UInt32.self)
      let from = pixels + columns
      let image = line / out.height, row = line % out.height * addend.height / out.height
      for column in 0..<columns {
        pixels[column] = UInt32(line * columns + column)
        from[column] = UInt32(image * addend.area + row * addend.width + column * addend.width / out.width)
      }
      memset(sums, 0, sumBytes)
      kernels.store(
        view, image: image, rows, ld: fill(line, rows), to: pixels, from: from, columns, channels: channels, sums: sums)
      guard let partial else { return }
      SumConversion.widen(sums, count: 3 * channels, to: partial.pointer + line * 3 * channels)
    }
    withExtendedLifetime(epilogue) {}
    return epilogue.sums(partial, parts: lines)
  }
}

extension GradientTarget {
  /// Finishes a gradient that was written as it came.
  package func finish(_ raw: Tensor<E>, _ context: Context<E>) -> Gradient<E> {
    // Nothing rectified the tensor, and no norm wants sums.
    if case .open = gate, norms.isEmpty { return Gradient(tensor: raw, sums: .none) }
    var epilogue = Epilogue(out: context.tensor(raw.shape))
    epilogue.addend = raw
    epilogue.target = self
    let rowBytes = raw.shape.channels * MemoryLayout<E.Accumulator>.size
    let lines = raw.shape.images * raw.shape.height
    let sums = RowStore.run(epilogue, lines: lines, columns: raw.shape.width, context) { _, rows in
      memset(rows, 0, rowBytes)
      return 0
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
