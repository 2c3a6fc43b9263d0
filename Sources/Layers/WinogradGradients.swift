import Kernels
import Tensors

/// The matrix of a group of images of a `WeightGradientPass` as Winograd has it: products of transformed tiles of x and ȳ,
/// summed over the tiles of all images of the group, and the taps from the sums.
struct WinogradGradients<E: Element> {
  private let kernels: Kernels<E>
  private let winograd: Winograd
  private let terms: [WeightGradients.Term<E>]
  /// The shape of x; that of ȳ differs in its channels.
  private let input: Shape
  private let outputs: Int
  private let tiling: Tiling
  /// Bands of all terms that are transformed at once.
  private let bandsAtOnce: Int
  /// Floats from one product's operand, right operand, and sums, to the next one's.
  private let leftPlane: Int, rightPlane: Int, sumPlane: Int
  /// Of a panel of the right operand, and of the sums of all products of a panel of output channels.
  private let rightPanel: Int, sumPanel: Int
  private let width: Int
  private let offsets: [Int]
  /// Of a worker's scratch.
  let bytes: Int

  /// - Parameters:
  ///   - outputs: channels of ȳ.
  ///   - columns: those of one call, at most.
  init(
    _ kernels: Kernels<E>, _ winograd: Winograd, _ terms: [WeightGradients.Term<E>], input: Shape, outputs: Int,
    columns: Int
  ) {
    (self.kernels, self.winograd, self.terms) = (kernels, winograd, terms)
    (self.input, self.outputs) = (input, outputs)
    tiling = Tiling(input)
    let inputs = input.channels, gemm = winograd.gemm
    let bands = terms.count * WeightGradients.groupImages * tiling.bandsPerImage
    // As many tiles as the second and third cache hold, all of the group's if they do: sums are then written once.
    let most = max(1, Self.floatsAtOnce / (Winograd.products * tiling.tilesOfBand * (inputs + outputs)))
    bandsAtOnce = min(bands, most)
    let tiles = bandsAtOnce * tiling.tilesOfBand
    width = gemm.panelWidth(columns: outputs)
    let panels = (columns + width - 1) / width
    leftPlane = Tiling.plane(tiles * inputs)
    rightPanel = tiles * width
    rightPlane = Tiling.plane(panels * rightPanel)
    sumPlane = Tiling.plane(inputs * width)
    sumPanel = Winograd.products * sumPlane
    let layout = ScratchLayout([
      4 * tiling.scratch(channels: inputs), 4 * Winograd.products * leftPlane, 4 * tiling.bandPixels * outputs,
      4 * Winograd.products * rightPlane, 4 * sumPanel * (bandsAtOnce < bands ? panels : 1), tiles * 8,
    ])
    (offsets, bytes) = (layout.offsets, layout.bytes)
  }

  private static var floatsAtOnce: Int { 1 << 20 }

  /// Columns `channels` of the matrix of `images`, [taps × input channels][output channels].
  func sum(
    images: Range<Int>, _ channels: Range<Int>, into c: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer
  ) {
    func floats(_ index: Int) -> UnsafeMutablePointer<Float> {
      (scratch + offsets[index]).assumingMemoryBound(to: Float.self)
    }
    let left = floats(1), right = floats(3), sums = floats(4)
    let bands = (images.lowerBound * tiling.bandsPerImage)..<(images.upperBound * tiling.bandsPerImage)
    let all = terms.indices.flatMap { term in bands.map { (term: term, band: $0) } }
    for first in stride(from: 0, to: all.count, by: bandsAtOnce) {
      let block = all[first..<min(all.count, first + bandsAtOnce)]
      var tiles = 0
      for (term, band) in block {
        tiles += transform(terms[term], band, channels, tile: tiles, floats(0), left, floats(2), right)
      }
      multiply(
        tiles, channels, accumulates: first > 0, left, right, sums,
        (scratch + offsets[5]).assumingMemoryBound(to: UnsafeRawPointer?.self),
        into: block.endIndex == all.count ? c.assumingMemoryBound(to: Float.self) : nil)
    }
  }

  /// The tiles of a band, from `tile` on. Returns how many.
  private func transform(
    _ term: WeightGradients.Term<E>, _ band: Int, _ channels: Range<Int>, tile: Int,
    _ pixels: UnsafeMutablePointer<Float>, _ left: UnsafeMutablePointer<Float>, _ rows: UnsafeMutablePointer<Float>,
    _ right: UnsafeMutablePointer<Float>
  ) -> Int {
    let (image, first, height) = tiling.place(band)
    let tiles = tiling.transform(
      term.operand, input, band: band, winograd, by: pixels, into: left + tile * input.channels, plane: leftPlane)
    kernels.read(
      term.gradient, image: image, pixel: image * input.area + first * input.width, height * input.width,
      channels: outputs, into: UnsafeMutableRawPointer(rows).assumingMemoryBound(to: E.Accumulator.self))
    winograd.transformGradients(
      rows + channels.lowerBound, ldy: outputs, rows: Winograd.tiles(height), columns: tiling.columns, height: height,
      width: input.width, channels: channels.count, into: right + tile * width, plane: rightPlane, panel: rightPanel,
      panelWidth: width)
    return tiles
  }

  /// Adds the products of `tiles` tiles, a panel of output channels at a time.
  /// - Parameter taps: where the taps go once all tiles have been added; nil before.
  private func multiply(
    _ tiles: Int, _ channels: Range<Int>, accumulates: Bool, _ left: UnsafeMutablePointer<Float>,
    _ right: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>,
    _ pointers: UnsafeMutablePointer<UnsafeRawPointer?>, into taps: UnsafeMutablePointer<Float>?
  ) {
    let inputs = input.channels, isOne = taps != nil && !accumulates
    for tile in 0..<tiles { pointers[tile] = UnsafeRawPointer(left + tile * inputs) }
    for (panel, column) in stride(from: 0, to: channels.count, by: width).enumerated() {
      let sums = sums + (isOne ? 0 : panel * sumPanel)
      for product in 0..<Winograd.products {
        // Columns beyond the channels come from whatever stands in the panel, and are dropped.
        winograd.gemm.multiplyTransposed(
          .init(pointers, count: tiles, offset: product * leftPlane, plane: 0),
          .init(right + product * rightPlane + panel * rightPanel, rows: tiles), columns: width, depth: inputs,
          accumulates: accumulates, into: sums + product * sumPlane, ld: width,
          workspace: UnsafeMutableRawPointer(sums))
      }
      guard let taps else { continue }
      winograd.transformTaps(
        sums, plane: sumPlane, ld: width, rows: inputs, columns: min(width, channels.count - column),
        into: taps + channels.lowerBound + column, tap: inputs * outputs, ldg: outputs)
    }
  }
}
