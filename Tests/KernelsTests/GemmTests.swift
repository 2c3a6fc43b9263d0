import CKernels
import Kernels
import Tensors
import Testing

/// The two products of every GEMM, against float64 products of the operands as its format rounds them.
@Suite struct GemmTests {
  /// m rows of k, n columns: one of each, remainders of every micro-tile, more than one block of depth.
  private static let sizes: [(m: Int, n: Int, k: Int)] = [
    (1, 1, 1), (1, 33, 5), (7, 31, 17), (8, 32, 256), (6, 16, 300), (9, 64, 257), (13, 1, 40), (17, 100, 515),
    (64, 40, 3), (25, 48, 600), (5, 15, 256), (16, 65, 512), (32, 32, 64), (33, 32, 32), (48, 9, 96), (49, 33, 31),
  ]

  private func check<A: Element>(_ product: Product<A>, transposed: Bool, accumulate: Bool = true) {
    let (values, magnitudes) = product.expected(transposed: transposed, start: accumulate ? 7 : 0)
    let c =
      transposed
      ? product.multiplyTransposed(accumulate: accumulate)
      : product.multiply(rows: 0..<product.m, accumulate: accumulate)
    // A chain of roundings errs like a random walk; 8√k of them is far out, and far below one missing term.
    let steps = 8 + 8 * Double(product.depth * product.runs).squareRoot()
    let what = "\(product.tested.name) \((product.m, product.n, product.k)), \(product.runs) runs"
    let wrong = disagreements(c, values, magnitudes: magnitudes, steps: steps)
    #expect(wrong.isEmpty, "\(what), transposed \(transposed), accumulate \(accumulate)")
  }

  private func checkSizes<A: Element>(_: A.Type, _ tested: TestedGemm) where A.Accumulator == A {
    for (seed, size) in Self.sizes.enumerated() {
      for transposed in [false, true] {
        let product = Product<A>(size, tested, seed: UInt64(seed), transposed: transposed)
        for accumulate in [false, true] { check(product, transposed: transposed, accumulate: accumulate) }
      }
    }
  }

  @Test(arguments: TestedGemm.all) func singlePrecision(_ tested: TestedGemm) { checkSizes(Float.self, tested) }

  @Test(arguments: TestedGemm.double) func doublePrecision(_ tested: TestedGemm) { checkSizes(Double.self, tested) }

  /// To the last bit, as sums of integers are exact: not one product of planes is missing, doubled or in a wrong place.
  /// Random shapes, rows spaced evenly or not, the runs of several rows of taps.
  @Test(arguments: TestedGemm.all) func integersMultiplyExactly(_ tested: TestedGemm) {
    let shapes = Memory(seed: 11)
    for seed in 0..<60 as Range<UInt64> {
      // Rows of whole steps may be read where they stand, if they are even: enough of them for that.
      let isWhole = seed % 6 == 0
      let m = isWhole ? 16 + shapes.integer(below: 55) : seed % 5 == 1 ? 1 : 1 + shapes.integer(below: 70)
      let n = 1 + shapes.integer(below: seed % 3 == 0 ? 90 : 33)
      let k =
        switch seed % 6 {
        case 0: 32 * (1 + shapes.integer(below: 5))
        case 1: 513 + shapes.integer(below: 30)
        case 2: 2 * shapes.integer(below: 40) + 1
        default: 1 + shapes.integer(below: 200)
        }
      let spacing: Product<Float>.Spacing = [.even, .scattered, .evenButOne][Int(seed / 6) % 3]
      for runs in k < 100 ? [1, 3] : [1] {
        let product = Product<Float>((m, n, k), tested, seed: seed, runs: runs, spacing: spacing, integers: true)
        let what = "\(tested.name) \((m, n, k)), \(runs) runs, \(spacing)"
        for accumulate in [false, true] {
          let expected = product.expected(transposed: false, start: accumulate ? 7 : 0).values
          #expect(expected.allSatisfy { abs($0) < 0x1p24 }, "the test itself")
          #expect(
            product.multiply(rows: 0..<m, accumulate: accumulate).map { Double($0) } == expected, "\(what) multiply")
        }
      }
      let transposed = Product<Float>((m, n, k), tested, seed: seed, transposed: true, spacing: spacing, integers: true)
      for accumulate in [false, true] {
        let expected = transposed.expected(transposed: true, start: accumulate ? 7 : 0).values
        #expect(
          transposed.multiplyTransposed(accumulate: accumulate).map { Double($0) } == expected,
          "\(tested.name) \((m, n, k)), \(spacing), transposed")
      }
    }
  }

  /// Bit for bit: a row's results are its own, whichever rows it is multiplied with and wherever they stand.
  @Test(arguments: TestedGemm.all.filter { $0.gemm.isIndependentOfRows }) func rowsDoNotDependOnOthers(
    _ tested: TestedGemm
  ) {
    for size in [(29, 70, 600), (8, 32, 256), (3, 5, 33), (37, 33, 544)] {
      for spacing in [.even, .evenButOne] as [Product<Float>.Spacing] {
        let product = Product<Float>(size, tested, spacing: spacing)
        let whole = product.multiply(rows: 0..<size.0, accumulate: false)
        for rows in [0..<1, 1..<2, size.0 - 1..<size.0, 0..<size.0 - 1, 1..<size.0, size.0 / 3..<size.0 / 3 + 2] {
          let part = product.multiply(rows: rows, accumulate: false)
          #expect(
            part == Array(whole[rows.lowerBound * size.1..<rows.upperBound * size.1]),
            "\(tested.name) \(size) \(rows) \(spacing)")
        }
      }
    }
  }

  /// Likewise a row of the transposed product, of the columns beside it.
  @Test(arguments: TestedGemm.all.filter { $0.gemm.isIndependentOfRows }) func columnsDoNotDependOnOthers(
    _ tested: TestedGemm
  ) {
    for (m, n, k) in [(45, 37, 41), (6, 32, 64)] {
      let product = Product<Float>((m, n, k), tested, transposed: true)
      let whole = product.multiplyTransposed()
      for columns in [0..<1, 0..<8, 0..<17, 1..<k, 16..<40, 7..<9, k - 1..<k] {
        let part = product.multiplyTransposed(columns: columns)
        #expect(
          part == Array(whole[columns.lowerBound * n..<columns.upperBound * n]), "\(tested.name) \(m), \(columns)")
      }
    }
  }

  /// A NaN or Inf of a row reaches every value of its row and no other, even against weights of zero.
  @Test(arguments: TestedGemm.all) func nonfiniteRowsComeOut(_ tested: TestedGemm) {
    for (m, n, k) in [(9, 35, 300), (1, 4, 7), (16, 32, 256), (34, 33, 65)] {
      for bad in [Float.nan, .infinity, -.infinity] {
        var product = Product<Float>((m, n, k), tested)
        for j in 0..<n { product.w[(k - 1) * n + j] = j % 2 == 0 ? 0 : 1 }
        // The last term of the last row: no other window covers it.
        product.x[product.at(m - 1, k - 1)] = bad
        let c = product.multiply(rows: 0..<m, accumulate: false)
        for r in 0..<m {
          for j in 0..<n {
            let value = c[r * n + j]
            if r < m - 1 {
              #expect(value.isFinite)
            } else if tested.format == .split {
              #expect(!value.isFinite)  // the rest of Inf is NaN
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

  @Test(arguments: TestedGemm.all) func nonfiniteWeightsComeOut(_ tested: TestedGemm) {
    for bad in [Float.nan, .infinity] {
      for row in [0, 7, 19] {
        var product = Product<Float>((5, 40, 20), tested)
        product.w[row * 40 + 33] = bad
        let c = product.multiply(rows: 0..<5, accumulate: false)
        for i in c.indices { #expect(c[i].isFinite == (i % 40 != 33)) }
      }
      for row in [0, 3, 4] {
        var transposed = Product<Float>((5, 40, 20), tested, transposed: true)
        transposed.w[row * 40 + 38] = bad
        let d = transposed.multiplyTransposed()
        for i in d.indices { #expect(d[i].isFinite == (i % 40 != 38)) }
      }
    }
  }

  @Test(arguments: TestedGemm.all) func nonfiniteRowsComeOutTransposed(_ tested: TestedGemm) {
    for (m, n, k) in [(4, 18, 11), (33, 33, 20), (9, 5, 35)] {
      for bad in [Float.nan, .infinity] {
        var product = Product<Float>((m, n, k), tested, transposed: true)
        product.x[product.at(m - 1, k - 1)] = bad
        let c = product.multiplyTransposed()
        for i in c.indices { #expect(c[i].isFinite == (i / n != k - 1), "\(tested.name) \((m, n, k)), \(bad)") }
      }
    }
  }

  /// Real tiles and emulated ones: integers to the last bit, as no order of exact sums shows. Others within the roundings
  /// of one chain: the manual gives the order that the emulation follows, but nothing here relies on a CPU keeping to
  /// it, and real tiles flush what is subnormal.
  @Test(.enabled(if: !TestedGemm.real.isEmpty), arguments: zip(TestedGemm.real, TestedGemm.emulated))
  func realTilesAreAsEmulated(_ real: TestedGemm, _ emulated: TestedGemm) {
    let shapes = Memory(seed: 12)
    for seed in 0..<40 as Range<UInt64> {
      let size = (1 + shapes.integer(below: 70), 1 + shapes.integer(below: 80), 1 + shapes.integer(below: 600))
      let spacing: Product<Float>.Spacing = seed % 2 == 0 ? .even : .scattered
      for transposed in [false, true] {
        for integers in [false, true] {
          func result(_ tested: TestedGemm) -> (c: [Float], magnitudes: [Double]) {
            let product = Product<Float>(
              size, tested, seed: seed, transposed: transposed, spacing: spacing, integers: integers)
            let c = transposed ? product.multiplyTransposed() : product.multiply(rows: 0..<size.0, accumulate: true)
            return (c, integers ? [] : product.expected(transposed: transposed, start: 7).magnitudes)
          }
          let (c, magnitudes) = result(real)
          let reference = result(emulated).c
          if integers {
            #expect(c == reference, "\(real.name) \(size), \(spacing), transposed \(transposed)")
          } else {
            let wrong = disagreements(c, reference.map { Double($0) }, magnitudes: magnitudes, steps: 16)
            #expect(wrong.isEmpty, "\(real.name) \(size), \(spacing), transposed \(transposed)")
          }
        }
      }
    }
  }
}
