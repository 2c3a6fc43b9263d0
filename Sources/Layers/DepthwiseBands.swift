import Foundation
import Kernels
import Tensors

/// The passes of a depthwise 3×3 with stride 1 (see `DepthwiseConvolution`), band by band of rows: every line of what is read
/// is read once, and is in the cache for the three rows of taps that see it.
///
/// x̄ from ȳ is y from x with the kernel turned by half a turn, so one pass serves both. Sums of the epilogue are taken in the
/// accumulator within a band of about 256 pixels, whose height follows from the shape alone.
struct DepthwiseBands<E: Element> {
  typealias A = E.Accumulator
  private let operand: OperandView<E>, shape: Shape, kernels: Kernels<E>
  private let bandRows: Int, bands: Int

  /// Valid while the operand is referenced.
  init(_ operand: Operand<E>, _ kernels: Kernels<E>) {
    (self.operand, shape, self.kernels) = (operand.view(.exact), operand.shape, kernels)
    bandRows = max(1, min(shape.height, 256 / max(1, shape.width)))
    bands = (shape.height + bandRows - 1) / bandRows
  }

  private var line: Int { shape.width * shape.channels }
  private func aligned(_ count: Int) -> Int { (count * MemoryLayout<A>.size + 63) / 64 * 64 }
  /// Of a band's rows, the one above and the one below.
  private var sourceBytes: Int { aligned((bandRows + 2) * line) }
  private var rowBytes: Int { aligned(bandRows * line) }

  /// Rows of an image that stand in scratch, the one above the band's first in front.
  private struct Band {
    /// The band's first row.
    let x: UnsafeMutablePointer<A>
    let first: Int, rows: Int
    let above: Bool, below: Bool
  }

  /// Reads what band `index` of an image sees. `goesOn`: after the band before it, whose last two rows are kept.
  private func read(_ index: Int, of image: Int, goesOn: Bool, into source: UnsafeMutablePointer<A>) -> Band {
    let first = index * bandRows, rows = min(bandRows, shape.height - first)
    let above = first > 0, below = first + rows < shape.height
    var next = max(0, first - 1)
    if goesOn {
      // The row above the band, and its first.
      memmove(source, source + bandRows * line, 2 * line * MemoryLayout<A>.size)
      next = first + 1
    }
    let end = first + rows + (below ? 1 : 0)
    if next < end {
      kernels.read(
        operand, image: image, pixel: image * shape.area + next * shape.width, (end - next) * shape.width,
        channels: shape.channels, into: source + (next - first + 1) * line)
    }
    return Band(x: source + line, first: first, rows: rows, above: above, below: below)
  }

  /// Σ over taps of weights∘operand, finished by the epilogue. Returns the epilogue's sums.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  func run(_ weights: UnsafePointer<A>?, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let addend = epilogue.addend?.shape ?? shape, channels = shape.channels
    precondition(epilogue.out.shape == shape)
    context.workers.work.move(.activations, epilogue.bytes)
    let view = epilogue.view, parts = shape.images * bands, sumBytes = aligned(3 * channels)
    let pixels = bandRows * shape.width
    context.workers.reserveScratch(bytes: sourceBytes + rowBytes + sumBytes + 8 * pixels)
    let partial =
      epilogue.hasSums && !context.workers.isRehearsal
      ? context.arena.block(bytes: parts * 3 * channels * MemoryLayout<Double>.size) : nil
    // A task is an image, or where there are few of them a band.
    let perTask = shape.images >= 2 * context.workers.count ? bands : 1
    context.workers.parallelFor(shape.images * bands / perTask) { task, worker in
      let scratch = context.workers.scratch(worker), source = scratch.assumingMemoryBound(to: A.self)
      let rows = (scratch + sourceBytes).assumingMemoryBound(to: A.self)
      let sums = (scratch + sourceBytes + rowBytes).assumingMemoryBound(to: A.self)
      let to = (scratch + sourceBytes + rowBytes + sumBytes).assumingMemoryBound(to: UInt32.self), from = to + pixels
      for part in task * perTask..<(task + 1) * perTask {
        let image = part / bands
        let band = read(part % bands, of: image, goesOn: part > task * perTask, into: source)
        kernels.depthwise(
          band.x, above: band.above, below: band.below, rows: band.rows, columns: shape.width, weights: weights!,
          channels: channels, into: rows)
        let count = band.rows * shape.width, start = image * shape.area + band.first * shape.width
        for i in 0..<count { to[i] = UInt32(start + i) }
        if addend == shape {
          for i in 0..<count { from[i] = to[i] }
        } else {
          for i in 0..<count {
            let row = (band.first + i / shape.width) * addend.height / shape.height
            let column = i % shape.width * addend.width / shape.width
            from[i] = UInt32(image * addend.area + row * addend.width + column)
          }
        }
        if partial != nil { memset(sums, 0, sumBytes) }
        kernels.store(
          view, image: image, rows, ld: channels, to: to, from: from, count, channels: channels, sums: sums)
        guard let partial else { continue }
        SumConversion.widen(
          sums, count: 3 * channels,
          to: partial.pointer.assumingMemoryBound(to: Double.self) + part * 3 * channels)
      }
    }
    withExtendedLifetime(epilogue) {}
    return epilogue.sums(partial?.pointer.assumingMemoryBound(to: Double.self), parts: parts)
  }

  /// sums (taps × channels) += Σ over these images and their pixels of operand∘gradient. `scratch`: of `scratchBytes`.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  func addWeights(
    _ images: Range<Int>, _ gradient: OperandView<E>, into sums: UnsafeMutablePointer<A>,
    _ scratch: UnsafeMutableRawPointer
  ) {
    let source = scratch.assumingMemoryBound(to: A.self)
    let rows = (scratch + sourceBytes).assumingMemoryBound(to: A.self)
    for image in images {
      for index in 0..<bands {
        let band = read(index, of: image, goesOn: index > 0, into: source)
        kernels.read(
          gradient, image: image, pixel: image * shape.area + band.first * shape.width, band.rows * shape.width,
          channels: shape.channels, into: rows)
        kernels.depthwiseWeights(
          band.x, above: band.above, below: band.below, rows: band.rows, columns: shape.width, gradient: rows,
          channels: shape.channels, into: sums)
      }
    }
  }

  var scratchBytes: Int { sourceBytes + rowBytes }
}
