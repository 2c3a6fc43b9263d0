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
  var line: Int { Self.window.paddedColumns(columns * Winograd.tile) }

  /// Elements of a band's scratch.
  func scratch(channels: Int) -> Int { Self.window.paddedRows(bandRows) * line * channels }

  /// The image of a band, its first row there and its rows.
  func place(_ band: Int) -> (image: Int, first: Int, height: Int) {
    let first = band % bandsPerImage * bandRows
    return (band / bandsPerImage, first, min(bandRows, height - first))
  }

  /// Reads the input pixels of `tileRows` rows of tiles, with what is pending; zeros around the map.
  func read<E: Element>(
    _ operand: OperandView<E>, _ gemm: Gemm, _ shape: Shape, image: Int, firstRow: Int, tileRows: Int,
    into pixels: UnsafeMutablePointer<Float>
  ) {
    Self.window.readBand(
      operand, gemm, shape: shape, image: image, firstRow: firstRow, rows: tileRows * Winograd.tile,
      columns: columns * Winograd.tile, into: pixels, plane: 0)
  }

  private static let window = Window(rows: 3, columns: 3, stride: 1, top: -1, left: -1)

  /// Where pieces of these sizes stand in one run of memory, a cache line and more apart, and the bytes of all.
  static func offsets(_ sizes: [Int]) -> (offsets: [Int], bytes: Int) {
    var offsets: [Int] = [], end = 0
    for size in sizes {
      offsets.append(end)
      end += (size + 127) / 64 * 64
    }
    return (offsets, end)
  }
}
