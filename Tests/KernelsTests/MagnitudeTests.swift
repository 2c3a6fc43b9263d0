import CKernels
import Tensors
import Testing

/// What the gradient regularizer measures a gradient with, and makes its direction of it.
@Suite struct MagnitudeTests {
  /// Around the kernels' lanes (8) and blocks (4096).
  private static let counts = [0, 1, 7, 8, 9, 40, 4095, 4096, 4097, 9001]

  private func magnitudes<E: Element>(_ kernels: lineup_elementwise, _ x: [E]) -> (values: [Double], largest: Int) {
    let memory = Memory(seed: 0)
    var m = [7.0, 7, 7, 7]
    // What stands behind the range must not count.
    let largest = kernels.magnitudes(memory.place(x, slack: 8, filler: 1000), x.count, &m)
    return (m, largest)
  }

  private func checkMagnitudes<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for count in Self.counts {
        let memory = Memory(seed: UInt64(count))
        var x: [E] = memory.normals(count)
        for i in x.indices where i % 5 == 3 { x[i] = i % 2 == 0 ? 0 : -0.0 }
        let (values, largest) = magnitudes(kernels, x)
        let sizes = x.map { abs(Double($0)) }
        let total = sizes.reduce(0, +), squares = sizes.reduce(0) { $0 + $1 * $1 }
        #expect(abs(values[0] - total) <= 1e-13 * total && abs(values[1] - squares) <= 1e-13 * squares, "\(name)")
        #expect(values[2] == sizes.max() ?? 0 && values[3] == Double(sizes.count { $0 == 0 }), "\(name), \(count)")
        #expect(largest == sizes.firstIndex(of: values[2]) ?? 0, "\(name), \(count)")
      }
    }
  }

  @Test func magnitudes() {
    checkMagnitudes(Float16.self)
    checkMagnitudes(Float.self)
    checkMagnitudes(Double.self)
  }

  /// Whatever the sign, and across the kernels' blocks.
  @Test func theFirstOfTheLargestIsFound() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      for positions in [[0, 1], [6, 8, 4096], [4095, 4096], [4096, 4097], [8999, 9000], [9000]] {
        for sign in [1, -1] as [Float16] {
          let memory = Memory(seed: 1)
          var x: [Float16] = memory.normals(9001).map { max(-4, min(4, $0)) }
          for (i, position) in positions.enumerated() { x[position] = i % 2 == 0 ? 5 * sign : -5 * sign }
          let (values, largest) = magnitudes(kernels, x)
          #expect(values[2] == 5 && largest == positions[0], "\(name): \(positions)")
        }
      }
      let (values, largest) = magnitudes(kernels, [Float16](repeating: -0.0, count: 50))
      #expect(values == [0, 0, 0, 50] && largest == 0, "\(name)")
    }
  }

  /// Squares of small float16 numbers do not vanish, those of large ones do not overflow.
  @Test func sumsAreFloat64() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let tiny = magnitudes(kernels, [Float16](repeating: 0x1p-24, count: 4)).values
      #expect(tiny == [0x1p-22, 0x1p-46, 0x1p-24, 0], "\(name)")
      let huge = magnitudes(kernels, [Float16](repeating: -65_504, count: 100)).values
      #expect(huge == [6_550_400, 100 * 65_504 * 65_504, 65_504, 0], "\(name)")
    }
  }

  private func checkNonfinite<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for count in [1, 9, 4097] {
        for position in [0, count / 2, count - 1] {
          let memory = Memory(seed: 2)
          for bad in [E.nan, .infinity, -.infinity] {
            var x: [E] = memory.normals(count)
            x[position] = bad
            let (values, largest) = magnitudes(kernels, x)
            for i in 0..<3 {
              #expect(
                bad.isNaN ? values[i].isNaN : values[i] == .infinity, "\(name): \(bad) at \(position) of \(count), \(i)"
              )
            }
            #expect(largest == position, "\(name): \(bad) at \(position) of \(count)")
          }
        }
      }
    }
  }

  /// All three norms see what is not finite.
  @Test func nonfiniteValuesComeOut() {
    checkNonfinite(Float16.self)
    checkNonfinite(Float.self)
    checkNonfinite(Double.self)
  }

  private func checkScale<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for count in [0, 1, 7, 16, 33, 1003] {
        let memory = Memory(seed: UInt64(count))
        var x: [E] = memory.normals(count)
        for i in x.indices where i % 7 == 5 { x[i] = i % 2 == 0 ? 0 : -0.0 }
        for factor in [1, 0.1, -3, 1024, 0] {
          for sign in [false, true] {
            let out = memory.place([E](repeating: 9, count: count + 1))
            kernels.scale(memory.place(x), count, factor, sign ? 1 : 0, out)
            let expected = x.map { value in
              !sign ? factor * Double(value) : value > 0 ? factor : value < 0 ? -factor : 0
            }
            let what = "\(name), \(count) × \(factor), sign \(sign)"
            #expect(disagreements(out.array(count), expected, steps: 1).isEmpty, "\(what)")
            #expect(out[count] == 9, "\(what)")
          }
        }
      }
    }
  }

  @Test func scale() {
    checkScale(Float16.self)
    checkScale(Float.self)
    checkScale(Double.self)
  }

  /// Of a factor beyond float16 too; only the sign of Inf is finite.
  private func checkNonfiniteScale<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for position in [0, 20, 36] {
        let memory = Memory(seed: 3)
        for bad in [E.nan, .infinity, -.infinity] {
          var x: [E] = memory.normals(37)
          x[position] = bad
          let out = memory.place([E](repeating: 0, count: 37))
          for factor in [2, 0.0] {
            kernels.scale(memory.place(x), 37, factor, 0, out)
            for i in 0..<37 { #expect(out[i].isFinite == (i != position), "\(name): \(bad) × \(factor)") }
          }
          kernels.scale(memory.place(x), 37, 2, 1, out)
          if !bad.isNaN { #expect(out[position] == (bad > 0 ? 2 : -2), "\(name): sign of \(bad)") }
        }
      }
    }
  }

  @Test func scaledNonfiniteValuesComeOut() {
    checkNonfiniteScale(Float16.self)
    checkNonfiniteScale(Float.self)
    checkNonfiniteScale(Double.self)
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 4)
      let out: UnsafeMutablePointer<Float16> = memory.normal(3)
      kernels.scale(memory.place([Float16(1), -1, 0]), 3, 1e5, 0, out)
      #expect(out.array(3) == [.infinity, -.infinity, 0], "\(name): overflow shows")
    }
  }
}
