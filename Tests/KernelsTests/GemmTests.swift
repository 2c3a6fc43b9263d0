import CKernels
import Kernels
import Tensors
import Testing

/// The two products of every path, against float64 and so against each other.
@Suite struct GemmTests {
  /// m rows of k, n columns: one of each, remainders of every micro-tile, more than one block of depth.
  private static let sizes: [(m: Int, n: Int, k: Int)] = [
    (1, 1, 1), (1, 33, 5), (7, 31, 17), (8, 32, 256), (6, 16, 300), (9, 64, 257), (13, 1, 40), (17, 100, 515),
    (64, 40, 3),
    (25, 48, 600), (5, 15, 256), (16, 65, 512),
  ]

  /// A random product, its operands laid out as the layers do. Rows are windows of one run of memory that overlap.
  private struct Product<A: Element> where A.Accumulator == A {
    let memory: Memory
    let m: Int, n: Int, k: Int
    let kernels: Kernels<A>
    let offset = 3, first = 2, panelRows: Int, step: Int, ldc: Int
    var x: UnsafeMutablePointer<A>
    var rows: UnsafeMutablePointer<UnsafeRawPointer?>
    var w: [A]

    init(_ size: (m: Int, n: Int, k: Int), _ kernels: Kernels<A>, seed: UInt64 = 1, transposed: Bool = false) {
      (m, n, k, self.kernels) = (size.m, size.n, size.k, kernels)
      memory = Memory(seed: seed)
      panelRows = (transposed ? m : k) + 5
      step = max(1, k / 2)
      ldc = kernels.gemm.padded(columns: n) + 3
      // Reading on behind the last row is allowed (see the layers' scratch), but must not be seen.
      x = memory.place(memory.normals(step * (m - 1) + offset + k), slack: 16, filler: .nan)
      let base = x
      let step = step
      rows = memory.place((0..<m).map { UnsafeRawPointer(base + $0 * step) })
      w = memory.normals((transposed ? m : k) * n)
    }

    func a(_ r: Int, _ i: Int) -> Double { Double(x[r * step + offset + i]) }

    /// `multiply` on the given rows. c begins as `start`, its margins too, and must keep the margin.
    func multiply(rows chosen: Range<Int>, accumulate: Bool, start: A = 7) -> [A] {
      let width = kernels.gemm.panelWidth(columns: n)
      let panels = memory.place([A](repeating: .nan, count: kernels.gemm.padded(columns: n) * panelRows))
      kernels.elementwise.pack(memory.place(w), k, n, n, 1, width, panelRows, first, 0, panels)
      let c = memory.place([A](repeating: start, count: chosen.count * ldc))
      let workspace = memory.place(
        [UInt8](repeating: 0, count: kernels.gemm.kernels.workspace(chosen.count, n, k) + 64))
      kernels.gemm.kernels.multiply(
        rows + chosen.lowerBound, 0, chosen.count, offset, panels, panelRows, first, n, k, accumulate ? 1 : 0, c, ldc,
        aligned(workspace))
      for r in 0..<chosen.count {
        for margin in kernels.gemm.padded(columns: n)..<ldc {
          #expect(c[r * ldc + margin] == start, "written behind a row of c")
        }
      }
      return (0..<chosen.count).flatMap { r in (0..<n).map { c[r * ldc + $0] } }
    }

    /// c (k × n) += xᵀ w, with w of m rows.
    func multiplyTransposed(start: A = 7) -> [A] {
      let width = kernels.gemm.panelWidth(columns: n)
      let panels = memory.place([A](repeating: .nan, count: kernels.gemm.padded(columns: n) * panelRows))
      kernels.elementwise.pack_rows(memory.place(w), n, m, n, width, panelRows, 0, panels)
      let c = memory.place([A](repeating: start, count: (k + 1) * ldc))
      let workspace = memory.place([UInt8](repeating: 0, count: kernels.gemm.kernels.workspace(m, n, k) + 64))
      kernels.gemm.kernels.multiply_transposed(rows, 0, m, offset, panels, panelRows, n, k, c, ldc, aligned(workspace))
      for i in 0..<(k + 1) * ldc where i % ldc >= n || i / ldc == k { #expect(c[i] == start, "written outside of c") }
      return (0..<k).flatMap { r in (0..<n).map { c[r * ldc + $0] } }
    }

    private func aligned(_ p: UnsafeMutablePointer<UInt8>) -> UnsafeMutableRawPointer {
      UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: p) + 63) / 64 * 64)!
    }

    /// Σ and Σ|·| of the products, plus a start.
    func expected(transposed: Bool, start: Double) -> (values: [Double], magnitudes: [Double]) {
      var values: [Double] = []
      var magnitudes: [Double] = []
      for r in 0..<(transposed ? k : m) {
        for j in 0..<n {
          var sum = start
          var magnitude = abs(start)
          for i in 0..<(transposed ? m : k) {
            let product = (transposed ? a(i, r) : a(r, i)) * Double(w[i * n + j])
            sum += product
            magnitude += abs(product)
          }
          values.append(sum)
          magnitudes.append(magnitude)
        }
      }
      return (values, magnitudes)
    }
  }

  private func check<A: Element>(_ kernels: Kernels<A>) where A.Accumulator == A {
    for (seed, size) in Self.sizes.enumerated() {
      let product = Product(size, kernels, seed: UInt64(seed))
      // A chain of roundings errs like a random walk; 8√k of them is far out, and far below one missing term.
      let steps = 8 + 8 * Double(size.k).squareRoot()
      for accumulate in [false, true] {
        let (values, magnitudes) = product.expected(transposed: false, start: accumulate ? 7 : 0)
        let wrong = disagreements(
          product.multiply(rows: 0..<size.m, accumulate: accumulate), values, magnitudes: magnitudes, steps: steps)
        #expect(wrong.isEmpty, "\(kernels.path) multiply \(size), accumulate \(accumulate)")
      }
      let transposed = Product(size, kernels, seed: UInt64(seed), transposed: true)
      let (values, magnitudes) = transposed.expected(transposed: true, start: 7)
      let wrong = disagreements(
        transposed.multiplyTransposed(), values, magnitudes: magnitudes, steps: 8 + 8 * Double(size.m).squareRoot())
      #expect(wrong.isEmpty, "\(kernels.path) multiply_transposed \(size)")
    }
  }

  @Test(arguments: KernelPath.available) func singlePrecision(_ path: KernelPath) { check(Kernels<Float>(path: path)) }

  @Test func doublePrecision() { check(Kernels<Double>(path: .blas)) }

  /// Bit for bit: a row's results are its own, whichever rows it is multiplied with.
  @Test(arguments: KernelPath.available.filter { $0 != .blas }) func rowsDoNotDependOnOthers(_ path: KernelPath) {
    for size in [(29, 70, 600), (8, 32, 256), (3, 5, 33)] {
      let product = Product(size, Kernels<Float>(path: path))
      let whole = product.multiply(rows: 0..<size.0, accumulate: false)
      for rows in [0..<1, 1..<2, size.0 - 1..<size.0, 0..<size.0 - 1, 1..<size.0, size.0 / 3..<size.0 / 3 + 2] {
        let part = product.multiply(rows: rows, accumulate: false)
        #expect(part == Array(whole[rows.lowerBound * size.1..<rows.upperBound * size.1]), "\(path) \(size) \(rows)")
      }
    }
  }

  /// A NaN or Inf of a row reaches every value of its row and no other, even against weights of zero.
  @Test(arguments: KernelPath.available) func nonfiniteRowsComeOut(_ path: KernelPath) {
    for (m, n, k) in [(9, 35, 300), (1, 4, 7), (16, 32, 256)] {
      for bad in [Float.nan, .infinity, -.infinity] {
        var product = Product((m, n, k), Kernels<Float>(path: path))
        for j in 0..<n { product.w[(k - 1) * n + j] = j % 2 == 0 ? 0 : 1 }
        // The last term of the last row: no other window covers it.
        product.x[(m - 1) * product.step + product.offset + k - 1] = bad
        let c = product.multiply(rows: 0..<m, accumulate: false)
        for r in 0..<m {
          for j in 0..<n {
            let value = c[r * n + j]
            if r < m - 1 {
              #expect(value.isFinite)
            } else if j % 2 == 1 && bad.isInfinite {
              #expect(value == bad)
            } else {
              #expect(value.isNaN)
            }
          }
        }
      }
    }
  }

  @Test(arguments: KernelPath.available) func nonfiniteWeightsComeOut(_ path: KernelPath) {
    for bad in [Float.nan, .infinity] {
      var product = Product((5, 40, 20), Kernels<Float>(path: path))
      product.w[7 * 40 + 33] = bad
      let c = product.multiply(rows: 0..<5, accumulate: false)
      for i in c.indices { #expect(c[i].isFinite == (i % 40 != 33)) }

      var transposed = Product((5, 40, 20), Kernels<Float>(path: path), transposed: true)
      transposed.w[3 * 40 + 38] = bad
      let d = transposed.multiplyTransposed()
      for i in d.indices { #expect(d[i].isFinite == (i % 40 != 38)) }
    }
  }

  @Test(arguments: KernelPath.available) func nonfiniteRowsComeOutTransposed(_ path: KernelPath) {
    for bad in [Float.nan, .infinity] {
      let product = Product((4, 18, 11), Kernels<Float>(path: path), transposed: true)
      product.x[3 * product.step + product.offset + 10] = bad
      let c = product.multiplyTransposed()
      for i in c.indices { #expect(c[i].isFinite == (i / 18 != 10)) }
    }
  }
}
