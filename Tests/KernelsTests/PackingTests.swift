import CKernels
import Tensors
import Testing

/// Panels: [⌈n / width⌉][panel rows][width], the last one filled up with zeros.
@Suite struct PackingTests {
  private let untouched = -123.0

  private func check<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (k, n, width) in [(1, 1, 16), (3, 16, 16), (5, 33, 32), (4, 7, 7), (2, 100, 16)] {
        let memory = Memory(seed: UInt64(n))
        let panelRows = k + 4
        let row = 2
        let padded = (n + width - 1) / width * width
        // As it stands (n innermost), and transposed (k innermost), with a margin of one.
        for (rowStride, columnStride) in [(n + 1, 1), (1, k + 1)] {
          let w: [A] = memory.normals((k + 1) * (n + 1))
          for bfloat16 in [false, true] where !bfloat16 || E.precision != .float64 {
            let panels = memory.place([A](repeating: A(untouched), count: padded * panelRows))
            kernels.pack(
              memory.place(w), k, n, rowStride, columnStride, width, panelRows, row, bfloat16 ? 1 : 0, panels)
            var expected = [Double](repeating: untouched, count: padded * panelRows)
            for i in 0..<k {
              for j in 0..<padded {
                let value = j < n ? Double(E(w[i * rowStride + j * columnStride])) : 0
                expected[(j / width * panelRows + row + i) * width + j % width] =
                  bfloat16 ? KernelsTests.bfloat16(value) : value
              }
            }
            #expect(
              panels.array(expected.count).map { Double($0) } == expected,
              "\(name) pack \(k) × \(n) by \(width), \(bfloat16)")
          }
        }
        let rows: [A] = memory.normals(k * n)
        let panels = memory.place([A](repeating: A(untouched), count: padded * panelRows))
        kernels.pack_rows(memory.place(rows), n, k, n, width, panelRows, row, panels)
        var expected = [A](repeating: A(untouched), count: padded * panelRows)
        for i in 0..<k {
          for j in 0..<padded {
            expected[(j / width * panelRows + row + i) * width + j % width] = j < n ? rows[i * n + j] : 0
          }
        }
        #expect(panels.array(expected.count) == expected, "\(name) pack_rows \(k) × \(n) by \(width)")
      }
    }
  }

  @Test func float16() { check(Float16.self) }
  @Test func float32() { check(Float.self) }
  @Test func float64() { check(Double.self) }

  @Test func nonfiniteWeightsArePacked() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 1)
      let w: [Float] = [.nan, .infinity, 1e6, -1e6, 1]
      for bfloat16 in [0, 1] as [Int32] {
        let panels = memory.place([Float](repeating: 9, count: 16))
        kernels.pack(memory.place(w), 1, 5, 5, 1, 16, 1, 0, bfloat16, panels)
        #expect(panels[0].isNaN && panels.array(6).dropFirst() == [.infinity, .infinity, -.infinity, 1, 0], "\(name)")
      }
    }
  }
}
