import CKernels
import Tensors
import Testing

/// Panels of bfloat16: [⌈n / 32⌉][plane][panel rows / 2][32][2], the last one filled up with zeros.
@Suite struct BFloat16PackingTests {
  private static let untouched: UInt16 = 0x4567
  private typealias Case = (k: Int, n: Int, row: Int)

  /// Odd and even runs from odd and even rows on, remainders of columns.
  private static let cases: [Case] = [
    (1, 1, 0), (1, 1, 1), (1, 32, 3), (2, 33, 0), (2, 31, 1), (3, 32, 2), (5, 33, 5), (32, 64, 0), (31, 7, 1),
    (33, 65, 31), (64, 100, 32), (17, 40, 47),
  ]

  /// Panels of `planes` planes as they are expected, element by element.
  private struct Panels {
    let n: Int, planes: Int, panelRows: Int
    var elements: [UInt16]

    init(_ n: Int, planes: Int, panelRows: Int) {
      (self.n, self.planes, self.panelRows) = (n, planes, panelRows)
      elements = .init(repeating: untouched, count: (n + 31) / 32 * 32 * planes * panelRows)
    }

    private func at(_ row: Int, _ column: Int, plane: Int) -> Int {
      (((column / 32 * planes + plane) * (panelRows / 2) + row / 2) * 32 + column % 32) * 2 + row % 2
    }

    /// A row and the zeros beside it.
    mutating func set(row: Int, _ value: (_ column: Int) -> Double) {
      for column in 0..<(n + 31) / 32 * 32 {
        let x = column < n ? value(column) : 0
        let hi = bfloat16(x)
        elements[at(row, column, plane: 0)] = bits(hi)
        if planes > 1 { elements[at(row, column, plane: 1)] = bits(bfloat16(x - hi)) }
      }
    }
  }

  private func placed(_ panels: Panels, _ memory: Memory) -> UnsafeMutablePointer<UInt16> {
    // One more before: as pairs need it, aligned to four bytes and no more.
    memory.place([Self.untouched] + panels.elements, slack: 64, filler: Self.untouched) + 1
  }

  private func expect(_ actual: UnsafeMutablePointer<UInt16>, _ expected: Panels, _ what: String) {
    let count = expected.elements.count
    #expect(actual.array(count) == expected.elements, "\(what)")
    #expect(actual[-1] == Self.untouched, "\(what): written before the panels")
    #expect((0..<64).allSatisfy { actual[count + $0] == Self.untouched }, "\(what): written behind the panels")
  }

  private func check<E: Element>(_: E.Type) where E.Accumulator == Float {
    for (name, kernels) in elementwiseTables(E.self) {
      for (k, n, row) in Self.cases {
        for planes in [1, 2] {
          let memory = Memory(seed: UInt64(100 * n + k))
          let panelRows = (row + k + 31) / 32 * 32 + 32
          let what = "\(name) \(k) × \(n) from row \(row) on, \(planes) planes"
          let empty = Panels(n, planes: planes, panelRows: panelRows)

          // As they stand (n innermost), and transposed (k innermost), with a margin.
          for (rowStride, columnStride) in [(n + 1, 1), (1, k + 2)] {
            let w: [Float] = memory.normals((k + 2) * (n + 2))
            let panels = placed(empty, memory)
            kernels.pack_bfloat16(memory.place(w), k, n, rowStride, columnStride, planes, panelRows, row, panels)
            var expected = empty
            for i in 0..<k { expected.set(row: row + i) { j in Double(E(w[i * rowStride + j * columnStride])) } }
            // A run that ends within a pair begins the other half, with zeros.
            if (row + k) % 2 == 1 && (k > 1 || row % 2 == 0) { expected.set(row: row + k) { _ in 0 } }
            expect(panels, expected, "\(what), stride \(rowStride)")
          }

          let ld = n + 3
          let rows: [Float] = memory.normals(k * ld)
          let panels = placed(empty, memory)
          kernels.pack_rows_bfloat16(memory.place(rows), ld, k, n, planes, panelRows, row, panels)
          var expected = empty
          for i in 0..<k { expected.set(row: row + i) { j in Double(rows[i * ld + j]) } }
          for i in row + k..<(row + k + 31) / 32 * 32 { expected.set(row: i) { _ in 0 } }
          expect(panels, expected, "\(what), rows")
        }
      }
    }
  }

  @Test func float16() { check(Float16.self) }
  @Test func float32() { check(Float.self) }

  /// Pieces one after the other, as the taps of a kernel and the bands of a block come, are the whole.
  @Test func piecesMakeTheWhole() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      for planes in [1, 2] {
        for pieces in [[3, 3, 3], [1, 1, 1, 1, 1], [5, 8, 2], [32, 1, 31], [7, 40, 30]] {
          let memory = Memory(seed: 5)
          let n = 37
          let k = pieces.reduce(0, +)
          let panelRows = (k + 31) / 32 * 32
          let w: [Float] = memory.normals(k * n).map { Float(Float16($0 as Float)) }
          var expected = Panels(n, planes: planes, panelRows: panelRows)
          for row in 0..<panelRows { expected.set(row: row) { row < k ? Double(w[row * n + $0]) : 0 } }
          let rows = placed(Panels(n, planes: planes, panelRows: panelRows), memory)
          let weights = placed(Panels(n, planes: planes, panelRows: panelRows), memory)
          // As in a buffer of weights: zeros behind a run were there before.
          weights.update(repeating: 0, count: expected.elements.count)
          var row = 0
          for piece in pieces {
            let from = memory.place(Array(w[row * n..<(row + piece) * n]))
            kernels.pack_rows_bfloat16(from, n, piece, n, planes, panelRows, row, rows)
            kernels.pack_bfloat16(from, piece, n, n, 1, planes, panelRows, row, weights)
            row += piece
          }
          expect(rows, expected, "\(name) pack_rows \(pieces), \(planes) planes")
          expect(weights, expected, "\(name) pack \(pieces), \(planes) planes")
        }
      }
    }
  }

  @Test func nonfiniteWeightsArePacked() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 1)
      let w = memory.place([.nan, .infinity, 1e6, -1e6, 1] as [Float])
      for planes in [1, 2] {
        for rows in [false, true] {
          let panels = placed(Panels(5, planes: planes, panelRows: 32), memory)
          if rows {
            kernels.pack_rows_bfloat16(w, 5, 1, 5, planes, 32, 0, panels)
          } else {
            kernels.pack_bfloat16(w, 1, 5, 5, 1, planes, 32, 0, panels)
          }
          // Rows keep their range; weights are rounded to float16 first, which overflows.
          let large = rows ? bfloat16(1e6) : .infinity
          let row = (0..<6).map { bfloat16(bits: panels[2 * $0]) }
          #expect(row[0].isNaN && Array(row.dropFirst()) == [.infinity, large, -large, 1, 0], "\(name), rows \(rows)")
          if planes == 2 {
            let lo = (0..<32).map { bfloat16(bits: panels[32 * 32 + 2 * $0]) }
            #expect(lo[0].isNaN && lo[4...].allSatisfy { $0 == 0 }, "\(name), rows \(rows): lo")
          }
        }
      }
    }
  }
}
