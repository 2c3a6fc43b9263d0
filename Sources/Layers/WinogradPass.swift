import Foundation
import Kernels
import Tensors

/// A convolution of 3×3 taps, stride 1 and padding 1 by Winograd's filtering: `ConvolutionPass` with transformed tiles for
/// windows.
///
/// Its bands are whole rows of tiles of one image; the input rows of a band are read, with what is pending, into zero-padded
/// scratch, and so are the outputs that a last tile has beyond the map. Every element is computed by itself: neither threads
/// nor ranks change a bit.
struct WinogradPass<E: Element> {
  let kernels: Kernels<E>
  let winograd: Winograd
  let operand: OperandView<E>
  /// The shape of the operand; the outputs' height and width are its own.
  let input: Shape
  /// Of outputs.
  let channels: Int
  /// [ξ][panel][input channel][width]
  let panels: UnsafePointer<Float>
  let epilogue: EpilogueView<E>
  let output: Shape
  /// The shape of the epilogue's addend.
  let addend: Shape

  /// Runs the pass over all images. Returns the sums that the epilogue takes, of each band in order: bands × 3 × channels.
  @_specialize(where E == Float16)
  func run(_ workers: Workers) -> (partial: Buffer<Double>?, bands: Int) {
    let plan = WinogradPlan(self), tiling = plan.tiling
    let bands = input.images * tiling.bandsPerImage, perTask = plan.bandsAtOnce
    let partial =
      epilogue.takesSums && !workers.isRehearsal ? Buffer<Double>(count: bands * 3 * channels) : nil
    workers.reserveScratch(bytes: plan.bytes)
    workers.parallelFor((bands + perTask - 1) / perTask) { task, worker in
      let scratch = plan.carve(workers.scratch(worker))
      let range = task * perTask..<min(bands, (task + 1) * perTask)
      var tiles = 0
      for band in range {
        tiles += tiling.transform(
          operand, input, band: band, winograd, by: scratch.input, into: scratch.tiles + tiles * input.channels,
          plane: plan.tilePlane)
      }
      multiply(range, tiles, plan, scratch)
      var pixel = 0
      for band in range { pixel += store(band, pixel: pixel, plan, scratch, partial) }
    }
    return (partial, bands)
  }

  /// All products, a panel of output channels at a time, and the outputs from them.
  private func multiply(_ bands: Range<Int>, _ tiles: Int, _ plan: WinogradPlan, _ scratch: WinogradPlan.Carved) {
    let gemm = winograd.gemm, depth = input.channels, width = gemm.panelWidth(columns: channels)
    let matrix = gemm.padded(columns: channels) * depth
    for tile in 0..<tiles { scratch.pointers[tile] = UnsafeRawPointer(scratch.tiles + tile * depth) }
    for first in stride(from: 0, to: channels, by: width) {
      for product in 0..<Winograd.products {
        gemm.multiply(
          .init(scratch.pointers, count: tiles, offset: product * plan.tilePlane, plane: 0),
          .init(panels + product * matrix + first * depth, rows: depth), columns: width, depth: depth,
          accumulates: false, into: scratch.products + product * plan.productPlane, ld: width,
          workspace: UnsafeMutableRawPointer(scratch.products))
      }
      var tile = 0, pixel = 0
      for band in bands {
        let height = plan.tiling.place(band).height, rows = Winograd.tiles(height)
        winograd.transformOutputs(
          scratch.products + tile * width, plane: plan.productPlane, ld: width, rows: rows,
          columns: plan.tiling.columns, height: height, width: input.width, channels: min(width, channels - first),
          into: scratch.outputs + pixel * channels + first, ldy: channels)
        tile += rows * plan.tiling.columns
        pixel += height * input.width
      }
    }
  }

  /// Finishes the outputs of a band, from `pixel` on. Returns how many.
  private func store(
    _ band: Int, pixel: Int, _ plan: WinogradPlan, _ scratch: WinogradPlan.Carved, _ partial: Buffer<Double>?
  ) -> Int {
    let (image, first, height) = plan.tiling.place(band), count = height * input.width
    Placement().write(
      image: image, first, height, columns: input.width, output: output, addend: addend, to: scratch.to,
      from: scratch.from)
    let sums = UnsafeMutableRawPointer(scratch.sums).assumingMemoryBound(to: E.Accumulator.self)
    if epilogue.takesSums { memset(sums, 0, 3 * channels * MemoryLayout<E.Accumulator>.size) }
    kernels.store(
      epilogue, image: image,
      UnsafeRawPointer(scratch.outputs + pixel * channels).assumingMemoryBound(to: E.Accumulator.self), ld: channels,
      to: scratch.to, from: scratch.from, count, channels: channels, sums: sums)
    if let partial { SumConversion.widen(sums, count: 3 * channels, to: partial.pointer + band * 3 * channels) }
    return count
  }
}

/// A worker's scratch for one task, which has about as many tiles as reuse the weights while what is transformed stays in the
/// second cache.
private struct WinogradPlan {
  private static let tilesAtOnce = 32

  let tiling: Tiling
  let bandsAtOnce: Int
  /// Floats from one product's operand, and result, to the next one's.
  let tilePlane: Int, productPlane: Int
  let bytes: Int
  private let offsets: [Int]

  struct Carved {
    let input: UnsafeMutablePointer<Float>, tiles: UnsafeMutablePointer<Float>, products: UnsafeMutablePointer<Float>
    let outputs: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>
    let pointers: UnsafeMutablePointer<UnsafeRawPointer?>
    let to: UnsafeMutablePointer<UInt32>, from: UnsafeMutablePointer<UInt32>
  }

  init<E: Element>(_ pass: WinogradPass<E>) {
    tiling = Tiling(pass.input)
    bandsAtOnce = max(1, Self.tilesAtOnce / tiling.tilesOfBand)
    let tiles = bandsAtOnce * tiling.tilesOfBand, width = pass.winograd.gemm.panelWidth(columns: pass.channels)
    tilePlane = Tiling.plane(tiles * pass.input.channels)
    productPlane = Tiling.plane(tiles * width)
    let layout = ScratchLayout([
      4 * tiling.scratch(channels: pass.input.channels), 4 * Winograd.products * tilePlane,
      4 * Winograd.products * productPlane, 4 * bandsAtOnce * tiling.bandPixels * pass.channels, 4 * 3 * pass.channels,
      tiles * 8, tiling.bandPixels * 4, tiling.bandPixels * 4,
    ])
    (offsets, bytes) = (layout.offsets, layout.bytes)
  }

  func carve(_ base: UnsafeMutableRawPointer) -> Carved {
    func floats(_ index: Int) -> UnsafeMutablePointer<Float> {
      (base + offsets[index]).assumingMemoryBound(to: Float.self)
    }
    return Carved(
      input: floats(0), tiles: floats(1), products: floats(2), outputs: floats(3), sums: floats(4),
      pointers: (base + offsets[5]).assumingMemoryBound(to: UnsafeRawPointer?.self),
      to: (base + offsets[6]).assumingMemoryBound(to: UInt32.self),
      from: (base + offsets[7]).assumingMemoryBound(to: UInt32.self))
  }
}
