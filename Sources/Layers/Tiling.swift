import Kernels
import Tensors

/// How the maps of a convolution of 3×3 taps, stride 1 and padding 1 are cut into Winograd's tiles: bands of whole rows of
/// tiles, of about 128 pixels, of one image each. The shape of the maps decides alone.
struct Tiling {
  /// Rows and columns of a map, which inputs and outputs have in common.
  private let height: Int, width: Int
  /// Rows of a band, the last one of an image may have fewer, and bands of an image.
  private let bandRows: Int
  let bandsPerImage: Int
  /// Tiles in a row.
  let columns: Int

  /// - Parameter shape: of the input.
  init(_ shape: Shape) {
    (height, width) = (shape.height, shape.width)
    bandRows = Winograd.tiles(Window.bandRows(height, width)) * Winograd.tile
    bandsPerImage = (height + bandRows - 1) / bandRows
    columns = Winograd.tiles(width)
  }

  /// At most.
  var tilesOfBand: Int { bandRows / Winograd.tile * columns }
  var bandPixels: Int { bandRows * width }
  /// Pixels in a row of a band's scratch.
  private var line: Int { Self.window.paddedColumns(columns * Winograd.tile) }

  /// Elements of a band's scratch.
  func scratch(channels: Int) -> Int { Self.window.paddedRows(bandRows) * line * channels }

  /// The image of a band, its first row there and its rows.
  func place(_ band: Int) -> (image: Int, first: Int, height: Int) {
    let first = band % bandsPerImage * bandRows
    return (band / bandsPerImage, first, min(bandRows, height - first))
  }

  /// Reads the input pixels of a band, with what is pending and zeros around the map, and transforms its tiles.
  ///
  /// - Parameters:
  ///   - pixels: scratch.
  ///   - tiles: [ξ][tile][channel], ξ `plane` floats apart, from the band's first tile on.
  /// - Returns: how many tiles it has.
  func transform<E: Element>(
    _ operand: OperandView<E>, _ shape: Shape, band: Int, _ winograd: Winograd, by pixels: UnsafeMutablePointer<Float>,
    into tiles: UnsafeMutablePointer<Float>, plane: Int
  ) -> Int {
    let (image, first, height) = place(band), rows = Winograd.tiles(height)
    Self.window.readBand(
      operand, winograd.gemm, shape: shape, image: image, firstRow: first, rows: rows * Winograd.tile,
      columns: columns * Winograd.tile, into: pixels, plane: 0)
    winograd.transformInputs(
      pixels, line: line, rows: rows, columns: columns, channels: shape.channels, into: tiles, plane: plane,
      ld: shape.channels)
    return rows * columns
  }

  /// Floats from one product's matrix of `count` to the next one's: a cache line behind each, so that the elements of one tile do
  /// not all fall into one set, and a vector may read beyond the last row.
  static func plane(_ count: Int) -> Int { count + 16 }

  private static let window = Window(rows: 3, columns: 3, stride: 1, top: -1, left: -1)
}
