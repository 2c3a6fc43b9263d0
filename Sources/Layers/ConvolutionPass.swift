import Foundation
import Kernels
import Tensors

/// Which input pixels an output pixel sees: those of rows i·stride + top + t for taps t, likewise for columns.
struct Window: Equatable, Sendable {
  var rows: Int, columns: Int, stride: Int, top: Int, left: Int
  var taps: Int { rows * columns }
}

/// Where the outputs of a pass go: output (i, j) to pixel (i·step + row, j·step + column) of its image.
struct Placement {
  var step = 1, row = 0, column = 0

  /// The pixels that outputs and addends of rows first ..< first + height of an image stand at, row by row.
  func write(
    image: Int, _ first: Int, _ height: Int, columns: Int, output: Shape, addend: Shape,
    to: UnsafeMutablePointer<UInt32>, from: UnsafeMutablePointer<UInt32>
  ) {
    for i in 0..<height {
      let row = (first + i) * step + self.row
      let addendRow = image * addend.area + row * addend.height / output.height * addend.width
      for j in 0..<columns {
        let column = j * step + self.column
        to[i * columns + j] = UInt32(image * output.area + row * output.width + column)
        from[i * columns + j] = UInt32(addendRow + column * addend.width / output.width)
      }
    }
  }
}

/// A convolution of any kind as a GEMM: gather windows, multiply with packed weights, finish by an epilogue.
///
/// It works on *bands*, rows of outputs of one image; their height follows from the layer's shape alone. The input
/// rows of a band are read, with what is pending, into zero-padded scratch, as elements of the GEMM; a row of its left
/// matrix is then just a pointer to where a window starts, and one row of taps is one contiguous run. Sums are taken in
/// float32 within a band, in float64 across bands in their order: neither threads nor ranks change them.
struct ConvolutionPass<E: Element> {
  let kernels: Kernels<E>
  let operand: OperandView<E>
  /// The shape of the operand.
  let input: Shape
  let window: Window
  /// Rows and columns of outputs an image, and their channels.
  let rows: Int, columns: Int, channels: Int
  /// [panel][window rows][run of window columns × input channels, padded][width]
  let panels: UnsafeRawPointer?
  let epilogue: EpilogueView<E>
  let output: Shape
  let placement: Placement
  /// The shape of the epilogue's addend.
  let addend: Shape

  private var gemm: Gemm { kernels.gemm }

  /// Runs the pass over all images. Returns the sums that the epilogue takes, of each band in order: bands × 3 × channels.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  func run(_ workers: Workers) -> (partial: Buffer<Double>?, bands: Int) {
    let images = input.images
    let bandRows = Window.bandRows(rows, columns)
    let bandsPerImage = (rows + bandRows - 1) / bandRows
    let bands = images * bandsPerImage
    // OpenBLAS rounds by the shape of a call, so there a call keeps to one band; ours may take several.
    let perTask = !gemm.isIndependentOfRows ? 1 : max(1, min(8, targetRows / (bandRows * columns)))
    let hasSums = epilogue.takesSums
    let partial = hasSums && !workers.isRehearsal ? Buffer<Double>(count: bands * 3 * channels) : nil
    let plan = ScratchPlan(self, bandRows: bandRows, bands: perTask)
    // Outputs that no tap reaches are all finished from one row of zeros.
    let ldc = window.taps > 0 ? plan.ldc : 0
    let size = gemm.accumulatorBytes
    workers.reserveScratch(bytes: plan.bytes)

    workers.parallelFor((bands + perTask - 1) / perTask) { task, worker in
      let scratch = plan.carve(workers.scratch(worker))
      let range = task * perTask..<min(bands, (task + 1) * perTask)
      var counts: [Int] = []  // pixels of each band
      var pixels = 0
      for (slot, band) in range.enumerated() {
        let image = band / bandsPerImage, first = band % bandsPerImage * bandRows
        let height = min(bandRows, rows - first)
        if window.taps > 0 {
          let base = scratch.input + slot * plan.bandBytes
          window.readBand(
            operand, gemm, shape: input, image: image, firstRow: first, rows: height, columns: columns, into: base,
            plane: plan.planeBytes)
          let step = window.stride * input.channels * gemm.elementBytes
          for i in 0..<height {
            for j in 0..<columns {
              scratch.pointers[pixels + i * columns + j] = UnsafeRawPointer(base + (i * plan.width + j) * step)
            }
          }
        }
        placement.write(
          image: image, first, height, columns: columns, output: output, addend: addend, to: scratch.to + pixels,
          from: scratch.from + pixels)
        counts.append(height * columns)
        pixels += height * columns
      }
      multiply(pixels, plan, scratch)
      var start = 0
      for (slot, count) in counts.enumerated() {
        let band = range.lowerBound + slot, sums = scratch.sums.assumingMemoryBound(to: E.Accumulator.self)
        if hasSums { memset(sums, 0, 3 * channels * size) }
        kernels.store(
          epilogue, image: band / bandsPerImage,
          (scratch.c + start * ldc * size).assumingMemoryBound(to: E.Accumulator.self), ld: ldc, to: scratch.to + start,
          from: scratch.from + start, count, channels: channels, sums: sums)
        if let partial { SumConversion.widen(sums, count: 3 * channels, to: partial.pointer + band * 3 * channels) }
        start += count
      }
    }
    return (partial, bands)
  }

  /// Rows of a GEMM call: enough to reuse the weights, few enough for the widened input to stay in the second cache.
  private var targetRows: Int { max(64, min(256, 131_072 / max(1, input.channels))) }

  private func multiply(_ pixels: Int, _ plan: ScratchPlan, _ scratch: ScratchPlan.Carved) {
    guard window.taps > 0 else {
      scratch.c.initializeMemory(as: UInt8.self, repeating: 0, count: plan.ldc * gemm.accumulatorBytes)
      return
    }
    let depth = input.channels, run = window.columns * depth
    for row in 0..<window.rows {
      gemm.multiply(
        .init(scratch.pointers, count: pixels, offset: row * plan.width * depth, plane: plan.planeBytes),
        .init(after("packing", panels), rows: window.panelRows(gemm, depth), first: row * gemm.padded(depth: run)),
        columns: channels, depth: run, accumulates: row > 0, into: scratch.c, ld: plan.ldc, workspace: scratch.workspace
      )
    }
  }
}

extension Window {
  /// Rows of outputs in a band: about 128 pixels, at least one row.
  static func bandRows(_ rows: Int, _ columns: Int) -> Int { max(1, min(rows, 128 / max(1, columns))) }

  /// Columns of a band's scratch, for `columns` outputs.
  func paddedColumns(_ columns: Int) -> Int { (columns - 1) * stride + self.columns }

  /// Rows of a band's scratch, for `rows` outputs.
  func paddedRows(_ rows: Int) -> Int { (rows - 1) * stride + self.rows }

  /// Rows of the panels of weights for inputs of `channels`.
  func panelRows(_ gemm: Gemm, _ channels: Int) -> Int { rows * gemm.padded(depth: columns * channels) }

  /// Reads the input rows that outputs firstRow ..< firstRow + rows of an image see, zeros around the image.
  func readBand<E: Element>(
    _ operand: OperandView<E>, _ gemm: Gemm, shape: Shape, image: Int, firstRow: Int, rows: Int, columns: Int,
    into base: UnsafeMutableRawPointer, plane: Int
  ) {
    let width = paddedColumns(columns), pixel = shape.channels * gemm.elementBytes
    let firstColumn = max(0, left), endColumn = max(firstColumn, min(shape.width, left + width))
    for r in 0..<paddedRows(rows) {
      if r % stride >= self.rows { continue }  // a row that no tap sees
      let row = firstRow * stride + top + r
      let line = base + r * width * pixel
      guard row >= 0 && row < shape.height else {
        gemm.clear(line, bytes: width * pixel, plane: plane)
        continue
      }
      let before = firstColumn - left, inside = endColumn - firstColumn
      gemm.clear(line, bytes: before * pixel, plane: plane)
      gemm.read(
        operand, image: image, pixel: image * shape.area + row * shape.width + firstColumn, inside,
        channels: shape.channels, into: line + before * pixel, plane: plane)
      gemm.clear(line + (before + inside) * pixel, bytes: (width - before - inside) * pixel, plane: plane)
    }
  }
}

/// How a worker's scratch is divided for one task of a pass.
private struct ScratchPlan {
  let width: Int, ldc: Int, planeBytes: Int, bandBytes: Int, bytes: Int
  private let offsets: [Int]

  struct Carved {
    let input: UnsafeMutableRawPointer, c: UnsafeMutableRawPointer, sums: UnsafeMutableRawPointer
    let workspace: UnsafeMutableRawPointer
    let pointers: UnsafeMutablePointer<UnsafeRawPointer?>
    let to: UnsafeMutablePointer<UInt32>, from: UnsafeMutablePointer<UInt32>
  }

  init<E: Element>(_ pass: ConvolutionPass<E>, bandRows: Int, bands: Int) {
    let gemm = pass.kernels.gemm, size = gemm.accumulatorBytes, pixels = bands * bandRows * pass.columns
    width = pass.window.paddedColumns(pass.columns)
    ldc = gemm.padded(columns: pass.channels)
    let elements = pass.window.paddedRows(bandRows) * width * pass.input.channels
    planeBytes = (elements * gemm.elementBytes + 63) / 64 * 64 + 64
    bandBytes = gemm.planes * planeBytes
    let run = pass.window.columns * pass.input.channels
    let layout = ScratchLayout([
      bands * bandBytes, pixels * ldc * size, 3 * pass.channels * size,
      gemm.workspaceBytes(rows: pixels, columns: pass.channels, depth: run), pixels * 8, pixels * 4, pixels * 4,
    ])
    (offsets, bytes) = (layout.offsets, layout.bytes)
  }

  func carve(_ base: UnsafeMutableRawPointer) -> Carved {
    Carved(
      input: base, c: base + offsets[1], sums: base + offsets[2], workspace: base + offsets[3],
      pointers: (base + offsets[4]).assumingMemoryBound(to: UnsafeRawPointer?.self),
      to: (base + offsets[5]).assumingMemoryBound(to: UInt32.self),
      from: (base + offsets[6]).assumingMemoryBound(to: UInt32.self))
  }
}
