import Kernels
import Tensors
import Testing

/// Codes of vectors: the products of every path are the same whole numbers, and the error is what it says.
@Suite struct CodesTests {
  /// Around the width of codes.
  private static let columns = [1, 31, 63, 64, 65, 200, 512]

  @Test(arguments: KernelPath.available) func productsAreExact(_ path: KernelPath) {
    let kernels = CodeKernels(path: path)
    for columns in Self.columns {
      let width = CodeKernels.width(columns: columns), rows = 7, memory = Memory(seed: UInt64(columns))
      // The largest numbers that may be multiplied, and any.
      let most = min(32767, 16_900_000 / columns)
      let codes = (0..<rows * width).map { i in i < width ? 127 : Int8(memory.integer(below: 255) - 127) }
      let vector = (0..<width).map { i in i % 2 == 0 ? Int16(most) : Int16(memory.integer(below: 2 * most + 1) - most) }
      var products = [Int32](repeating: 0, count: rows)
      kernels.products(codes, rows: rows, width: width, vector, into: &products)
      let expected = (0..<rows).map { row in
        (0..<width).reduce(0) { $0 + Int(codes[row * width + $1]) * Int(vector[$1]) }
      }
      #expect(products.map(Int.init) == expected, "\(columns) columns")
    }
  }

  @Test(arguments: KernelPath.available) func errorsAreBounds(_ path: KernelPath) {
    let kernels = CodeKernels(path: path)
    for columns in Self.columns {
      for size in [1e-35, 1e-20, 1, 1e12] {
        let memory = Memory(seed: UInt64(columns)), width = CodeKernels.width(columns: columns)
        let x: [Float] = memory.normals(columns, deviation: size),
          centre: [Float] = memory.normals(columns, deviation: size)
        var codes = [Int8](repeating: 99, count: width)
        let code = kernels.encode(x, centre: centre, columns: columns, into: &codes)
        var rest = 0.0, square = 0.0
        for i in 0..<columns {
          let y = Double(x[i]) - Double(centre[i]), e = y - Double(code.scale) * Double(codes[i])
          rest += e * e
          square += y * y
        }
        #expect(rest.squareRoot() <= Double(code.error), "\(columns) columns of \(size)")
        // Half a step of 1/127 of the largest, and not more.
        let steps = Double(code.scale) / 2 * Double(columns).squareRoot()
        #expect(
          Double(code.error) <= max(steps, size < 1e-30 ? square.squareRoot() : 0) * 1.01 + 1e-5 * square.squareRoot())
        #expect(abs(Double(code.half_square) - square / 2) <= 1e-6 * square + Double(Float.leastNormalMagnitude))
        #expect(codes[columns...].allSatisfy { $0 == 0 } && codes.allSatisfy { $0 >= -127 })
      }
    }
  }
}
