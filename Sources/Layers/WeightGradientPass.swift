import CKernels
import Tensors

/// W̄ += Σ over pixels of window(x) ⊗ ȳ: the transposed GEMM, summed in the accumulator.
///
/// Bands (see `ConvolutionPass`) are dealt out to as many chunks as there are workers; a chunk sums into a matrix
/// of its own, and these are added in order. So the result depends on the number of workers, never on timing.
struct WeightGradientPass {
  let elementwise: lineup_elementwise
  let gemm: lineup_gemm
  /// Bytes of an accumulator.
  let size: Int
  let operand: lineup_operand
  let input: Shape
  let window: Window
  let gradient: lineup_operand
  /// The shape of ȳ.
  let output: Shape
  let panelWidth: Int
  /// [window taps × input channels][output channels], added to.
  let weightGradient: UnsafeMutableRawPointer

  private var depth: Int { window.taps * input.channels }

  func run(_ workers: Workers, _ arena: Arena) {
    let bandRows = ConvolutionPass.bandRows(output.height, output.width)
    let bandsPerImage = (output.height + bandRows - 1) / bandRows
    let bands = output.images * bandsPerImage
    guard bands > 0 else { return }
    let bandPixels = bandRows * output.width
    let perBlock = max(1, 256 / bandPixels)
    let chunks = min(workers.count, bands)
    let scalars = depth * output.channels
    let sums = (1..<max(1, chunks)).map { _ in arena.block(bytes: scalars * size) }

    let width = window.paddedColumns(output.width)
    let bandBytes = (window.paddedRows(bandRows) * width * input.channels * size + 63) / 64 * 64 + 64
    let blockPixels = perBlock * bandPixels
    let columns = (output.channels + panelWidth - 1) / panelWidth * panelWidth
    let run = window.columns * input.channels
    let sizes = [
      perBlock * bandBytes, bandPixels * output.channels * size, blockPixels * columns * size,
      gemm.workspace(blockPixels, output.channels, run), blockPixels * 8,
    ].map { ($0 + 127) / 64 * 64 }
    workers.reserveScratch(bytes: sizes.reduce(0, +))

    workers.parallelFor(chunks) { chunk, worker in
      let inputs = workers.scratch(worker)
      let rows = inputs + sizes[0], panels = rows + sizes[1], workspace = panels + sizes[2]
      let pointers = (workspace + sizes[3]).assumingMemoryBound(to: UnsafeRawPointer?.self)
      let c = chunk == 0 ? weightGradient : sums[chunk - 1].pointer
      if chunk > 0 { c.initializeMemory(as: UInt8.self, repeating: 0, count: scalars * size) }
      var operand = operand, gradient = gradient
      let last = (chunk + 1) * bands / chunks
      var band = chunk * bands / chunks
      while band < last {
        var pixels = 0
        for slot in 0..<min(perBlock, last - band) {
          let image = (band + slot) / bandsPerImage, first = (band + slot) % bandsPerImage * bandRows
          let height = min(bandRows, output.height - first), count = height * output.width
          let base = inputs + slot * bandBytes
          window.readBand(
            &operand, elementwise, size: size, shape: input, image: image, firstRow: first, rows: height,
            columns: output.width, into: base)
          let step = window.stride * input.channels * size
          for i in 0..<height {
            for j in 0..<output.width {
              pointers[pixels + i * output.width + j] = UnsafeRawPointer(base + (i * width + j) * step)
            }
          }
          elementwise.read(&gradient, image * output.area + first * output.width, count, output.channels, rows)
          elementwise.pack_rows(rows, count, output.channels, panelWidth, blockPixels, pixels, panels)
          pixels += count
        }
        for row in 0..<window.rows {
          gemm.multiply_transposed(
            pointers, pixels, row * width * input.channels, panels, blockPixels, output.channels, run,
            c + row * run * output.channels * size, output.channels, workspace)
        }
        band += perBlock
      }
    }
    guard chunks > 1 else { return }
    let piece = 1 << 16
    workers.parallelFor((scalars + piece - 1) / piece) { index, _ in
      let count = min(piece, scalars - index * piece), offset = index * piece * size
      for sum in sums { elementwise.add(sum.pointer + offset, count, weightGradient + offset) }
    }
  }
}
