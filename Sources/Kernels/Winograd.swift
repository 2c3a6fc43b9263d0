import CKernels
import Tensors

/// Winograd's F(4×4, 3×3): a convolution of 3×3 taps, stride 1, as 36 products of matrices with 1/4 of the multiply-adds.
///
/// A tile is 4×4 outputs, of 6×6 inputs; element ξ of all transformed tiles is the left matrix of product ξ, in float32.
package struct Winograd: Sendable {
  /// Outputs of a tile, a side; and the products.
  package static let tile = Int(LINEUP_WINOGRAD_TILE), products = (tile + 2) * (tile + 2)

  /// Multiplies what is transformed: float32.
  package let gemm: Gemm
  private let kernels: lineup_winograd

  init(_ kernels: lineup_winograd, _ gemm: Gemm) {
    precondition(gemm.format == .wide && gemm.accumulatorBytes == 4)
    (self.kernels, self.gemm) = (kernels, gemm)
  }

  /// Tiles that cover `outputs` rows or columns.
  package static func tiles(_ outputs: Int) -> Int { (outputs + tile - 1) / tile }

  /// v[ξ·plane + tile·ld + channel] of tiles that begin every four pixels of d[row][column][channel], `line` pixels a row.
  package func transformInputs(
    _ d: UnsafePointer<Float>, line: Int, rows: Int, columns: Int, channels: Int, into v: UnsafeMutablePointer<Float>,
    plane: Int, ld: Int
  ) {
    kernels.input(d, line, rows, columns, channels, v, plane, ld)
  }

  /// `height`×`width` pixels y[pixel·ldy + channel] of rows × columns tiles from their products m[ξ·plane + tile·ld + channel].
  package func transformOutputs(
    _ m: UnsafePointer<Float>, plane: Int, ld: Int, rows: Int, columns: Int, height: Int, width: Int, channels: Int,
    into y: UnsafeMutablePointer<Float>, ldy: Int
  ) {
    kernels.output(m, plane, ld, rows, columns, height, width, channels, y, ldy)
  }

  /// u[ξ·plane + i] from taps g[tap·`tap` + i], i < count.
  package func transformWeights(
    _ g: UnsafePointer<Float>, tap: Int, count: Int, into u: UnsafeMutablePointer<Float>, plane: Int
  ) {
    kernels.weights(g, tap, count, u, plane)
  }

  /// d[ξ·plane + panel of the channel·`panel` + tile·width + column] of rows × columns tiles of a gradient y[pixel·ldy + channel],
  /// zeros where a tile reaches beyond its `height`×`width` pixels.
  package func transformGradients(
    _ y: UnsafePointer<Float>, ldy: Int, rows: Int, columns: Int, height: Int, width: Int, channels: Int,
    into d: UnsafeMutablePointer<Float>, plane: Int, panel: Int, panelWidth: Int
  ) {
    kernels.gradients(y, ldy, rows, columns, height, width, channels, d, plane, panel, panelWidth)
  }

  /// Taps g[tap·`tap` + row·ldg + column] of a weight gradient from its products s[ξ·plane + row·ld + column].
  package func transformTaps(
    _ s: UnsafePointer<Float>, plane: Int, ld: Int, rows: Int, columns: Int, into g: UnsafeMutablePointer<Float>,
    tap: Int, ldg: Int
  ) {
    kernels.taps(s, plane, ld, rows, columns, g, tap, ldg)
  }
}

/// `precision.convolution`: how convolutions of 3×3 taps and stride 1 are computed.
package enum ConvolutionAlgorithm: String, Sendable, CaseIterable {
  /// The faster one: `winograd` where it can be had but on `amx`, whose tiles are faster than it.
  case auto
  /// All multiply-adds.
  case direct
  /// Winograd's minimal filtering, in float32 whatever `precision.multiply` says, where tensors are float16 and the path is
  /// `amx`, `avx512` or `avx2`.
  case winograd
}
