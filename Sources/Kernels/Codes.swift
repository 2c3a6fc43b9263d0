import CKernels
import Tensors

/// Vectors as 8-bit codes, a scale and an error each: y = scale · codes + e with ‖e‖ ≤ error.
///
/// A product of u with y then differs from that with its codes by no more than ‖u‖ · error (Cauchy–Schwarz).
package struct CodeKernels: Sendable {
  package typealias Code = lineup_code
  // A constant of the C library.
  private nonisolated(unsafe) let kernels: UnsafePointer<lineup_codes>

  /// Those of the best path that this CPU has, whatever is forced: they are exact on every path, or their error is known.
  package init(path: KernelPath = .available[0]) { kernels = lineup_codes_of(path.instructions) }

  /// The codes of a row of `columns` elements.
  package static func width(columns: Int) -> Int {
    let width = Int(LINEUP_CODE_WIDTH)
    return (columns + width - 1) / width * width
  }

  /// Codes of x − centre (columns each, finite), as many as `width(columns:)`.
  package func encode(
    _ x: UnsafePointer<Float>, centre: UnsafePointer<Float>, columns: Int, into codes: UnsafeMutablePointer<Int8>
  ) -> Code {
    var code = Code()
    kernels.pointee.encode(x, centre, columns, codes, Self.width(columns: columns), &code)
    return code
  }

  /// products[i] = codes of row i · vector, exactly. 127 · Σ|vector| must be below 2³¹.
  /// - Parameter width: of a row of codes, and of the vector.
  package func products(
    _ codes: UnsafePointer<Int8>, rows: Int, width: Int, _ vector: UnsafePointer<Int16>,
    into products: UnsafeMutablePointer<Int32>
  ) {
    kernels.pointee.products(codes, rows, width, vector, products)
  }
}
