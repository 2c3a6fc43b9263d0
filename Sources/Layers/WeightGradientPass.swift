import Kernels
import Tensors

/// W̄ += Σ over terms and pixels of window(x) ⊗ ȳ: the transposed GEMM, summed in the accumulator over a group of four
/// images, in float64 and exactly (see `ParameterGradients`) over groups.
///
/// Groups do not depend on threads, and not on ranks as long as their shares are whole groups (`Share`), so W̄ does not
/// either. Where there are more workers than groups, they split the output channels.
struct WeightGradientPass<E: Element> {
  let kernels: Kernels<E>
  /// All have the same shapes.
  let terms: [WeightGradients.Term<E>]
  let input: Shape
  let window: Window
  /// The shape of ȳ.
  let output: Shape
  /// [window taps × input channels][output channels], added to.
  let weightGradient: UnsafeMutablePointer<Double>
  let rounding: Double

  /// What filters, where Winograd does.
  var winograd: Winograd?

  fileprivate var gemm: Gemm { winograd?.gemm ?? kernels.gemm }
  private var groups: Int { (output.images + WeightGradients.groupImages - 1) / WeightGradients.groupImages }
  private var scalars: Int { window.taps * input.channels * output.channels }

  /// How many column slices and groups are worked on at once: as many as keep all workers busy.
  private func atOnce(_ workers: Workers) -> (slices: Int, groups: Int) {
    let width = gemm.panelWidth(columns: output.channels), panels = (output.channels + width - 1) / width
    let slices = min(panels, max(1, workers.count / groups))
    return (slices, min(groups, max(1, workers.count / slices)))
  }

  /// Bytes of gradients that it reads and writes: the matrix of every group, and each time the sums over groups.
  func bytes(_ workers: Workers) -> Int {
    guard groups > 0 else { return 0 }
    let atOnce = atOnce(workers).groups, rounds = (groups + atOnce - 1) / max(1, atOnce)
    return scalars * (groups * 2 * gemm.accumulatorBytes + rounds * 2 * MemoryLayout<Double>.size)
  }

  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  func run(_ workers: Workers, _ arena: Arena) {
    guard groups > 0 else { return }
    let size = gemm.accumulatorBytes, panelWidth = gemm.panelWidth(columns: output.channels)
    let panels = (output.channels + panelWidth - 1) / panelWidth
    let (slices, atOnce) = atOnce(workers)
    let sums = (0..<atOnce).map { _ in arena.block(bytes: scalars * size) }
    let plan = BlockPlan(self)
    let filter = winograd.map {
      WinogradGradients(
        kernels, $0, terms, input: input, outputs: output.channels,
        columns: (panels + slices - 1) / slices * panelWidth)
    }
    workers.reserveScratch(bytes: filter?.bytes ?? plan.bytes)
    for first in stride(from: 0, to: groups, by: atOnce) {
      let count = min(atOnce, groups - first)
      workers.parallelFor(count * slices) { task, worker in
        let slice = task % slices
        let channels =
          slice * panels / slices * panelWidth..<min(output.channels, (slice + 1) * panels / slices * panelWidth)
        let group = first + task / slices, sum = sums[task / slices].pointer, scratch = workers.scratch(worker)
        if let filter {
          filter.sum(images: images(of: group), channels, into: sum, scratch)
        } else {
          self.sum(group: group, channels, into: sum, plan, scratch)
        }
      }
      let piece = 1 << 15
      workers.parallelFor((scalars + piece - 1) / piece) { index, _ in
        let start = index * piece, length = min(piece, scalars - start)
        for sum in sums[..<count] {
          kernels.add(
            (sum.pointer + start * size).assumingMemoryBound(to: E.Accumulator.self), length, rounding: rounding,
            into: weightGradient + start)
        }
      }
    }
  }

  private func images(of group: Int) -> Range<Int> {
    group * WeightGradients.groupImages..<min(output.images, (group + 1) * WeightGradients.groupImages)
  }

  /// The matrix of one group of images, its columns `channels`.
  private func sum(
    group: Int, _ channels: Range<Int>, into c: UnsafeMutableRawPointer, _ plan: BlockPlan,
    _ scratch: UnsafeMutableRawPointer
  ) {
    let rows = scratch + plan.inputBytes, panels = rows + plan.rowBytes, workspace = panels + plan.panelBytes
    let pointers = (workspace + plan.workspaceBytes).assumingMemoryBound(to: UnsafeRawPointer?.self)
    let size = gemm.accumulatorBytes, panelWidth = gemm.panelWidth(columns: output.channels)
    let row = output.channels * size, run = window.columns * input.channels
    let c = c + channels.lowerBound * size
    var accumulates = false
    let images = images(of: group)
    let firstBand = images.lowerBound * plan.bandsPerImage, endBand = images.upperBound * plan.bandsPerImage
    for block in stride(from: firstBand, to: endBand, by: plan.bandsPerBlock) {
      for term in terms {
        var pixels = 0
        for band in block..<min(endBand, block + plan.bandsPerBlock) {
          let image = band / plan.bandsPerImage, first = band % plan.bandsPerImage * plan.bandRows
          let height = min(plan.bandRows, output.height - first), count = height * output.width
          let base = scratch + (band - block) * plan.bandBytes
          window.readBand(
            term.operand, gemm, shape: input, image: image, firstRow: first, rows: height, columns: output.width,
            into: base, plane: plan.planeBytes)
          let step = window.stride * input.channels * gemm.elementBytes
          for i in 0..<height {
            for j in 0..<output.width {
              pointers[pixels + i * output.width + j] = UnsafeRawPointer(base + (i * plan.width + j) * step)
            }
          }
          kernels.read(
            term.gradient, image: image, pixel: image * output.area + first * output.width, count,
            channels: output.channels, into: rows.assumingMemoryBound(to: E.Accumulator.self))
          gemm.packRows(
            rows + channels.lowerBound * size, ld: output.channels, count, channels.count, width: panelWidth,
            panelRows: plan.panelRows, row: pixels, into: panels)
          pixels += count
        }
        for tapRow in 0..<window.rows {
          gemm.multiplyTransposed(
            .init(pointers, count: pixels, offset: tapRow * plan.width * input.channels, plane: plan.planeBytes),
            .init(panels, rows: plan.panelRows), columns: channels.count, depth: run, accumulates: accumulates,
            into: c + tapRow * run * row, ld: output.channels, workspace: workspace)
        }
        accumulates = true
      }
    }
  }
}

/// How the bands of a pass are grouped into GEMM calls of about 256 pixels, and a worker's scratch for one call.
private struct BlockPlan {
  let bandRows: Int, bandsPerImage: Int, bandsPerBlock: Int, blockPixels: Int
  /// Rows of the panels of a block.
  let panelRows: Int
  /// Columns of a band's scratch.
  let width: Int
  let planeBytes: Int, bandBytes: Int, inputBytes: Int, rowBytes: Int, panelBytes: Int, workspaceBytes: Int

  init<E: Element>(_ pass: WeightGradientPass<E>) {
    let output = pass.output, gemm = pass.gemm
    func aligned(_ bytes: Int) -> Int { (bytes + 127) / 64 * 64 }
    bandRows = Window.bandRows(output.height, output.width)
    bandsPerImage = (output.height + bandRows - 1) / bandRows
    let bandPixels = bandRows * output.width
    bandsPerBlock = max(1, 256 / bandPixels)
    blockPixels = bandsPerBlock * bandPixels
    width = pass.window.paddedColumns(output.width)
    panelRows = gemm.padded(depth: blockPixels)
    planeBytes = aligned(pass.window.paddedRows(bandRows) * width * pass.input.channels * gemm.elementBytes)
    bandBytes = gemm.planes * planeBytes
    inputBytes = bandsPerBlock * bandBytes
    rowBytes = aligned(bandPixels * output.channels * gemm.accumulatorBytes)
    panelBytes = aligned(gemm.panelBytes(columns: output.channels, rows: panelRows))
    workspaceBytes = aligned(
      gemm.workspaceBytes(
        rows: blockPixels, columns: output.channels, depth: pass.window.columns * pass.input.channels))
  }

  var bytes: Int { inputBytes + rowBytes + panelBytes + workspaceBytes + blockPixels * 8 }
}
