import CKernels
import Tensors
import Testing

/// The depthwise kernels of every instruction set against sums in float64, at the edges of an image too.
@Suite struct DepthwiseTests {
  /// Lines that a kernel of three rows sees, the first outside of the image, and which pixel each column sees.
  private struct Lines<A: Element> {
    let kernel = 3, columns = 4, width = 5, channels: Int
    let pixels: [[A]]
    let from: [Int32] = [-1, 0, 1, 1, 2, 3, 3, 4, -1, -1, -1, 0]

    init(channels: Int, _ memory: Memory) {
      self.channels = channels
      pixels = (0..<3).map { _ in memory.normals(5 * channels) }
    }

    func pointers(_ memory: Memory) -> UnsafeMutablePointer<UnsafeRawPointer?> {
      memory.place([nil] + pixels.dropFirst().map { UnsafeRawPointer(memory.place($0)) })
    }

    /// body(column, tap, where the pixel begins) for all that is seen.
    func forEach(_ body: (_ column: Int, _ tap: Int, _ pixel: [A]) -> Void) {
      for column in 0..<columns {
        for row in 1..<kernel {
          for u in 0..<kernel where from[column * kernel + u] >= 0 {
            let first = Int(from[column * kernel + u]) * channels
            body(column, row * kernel + u, Array(pixels[row][first..<first + channels]))
          }
        }
      }
    }
  }

  private func check<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for channels in [1, 7, 64, 300] {
        let memory = Memory(seed: UInt64(channels))
        let lines = Lines<A>(channels: channels, memory), pointers = lines.pointers(memory)
        let from = memory.place(lines.from), columns = lines.columns
        let weights: [A] = memory.normals(9 * channels), gradient: [A] = memory.normals(columns * channels)
        let start: [A] = memory.normals(9 * channels)
        let out = memory.place([A](repeating: 9, count: columns * channels + 1)), sums = memory.place(start)
        kernels.depthwise(pointers, 3, from, columns, memory.place(weights), channels, out)
        kernels.depthwise_weights(pointers, 3, from, columns, memory.place(gradient), channels, sums)
        var expected = [Double](repeating: 0, count: columns * channels), magnitudes = expected
        var expectedSums = start.map(Double.init), sumMagnitudes = expectedSums.map(abs)
        lines.forEach { column, tap, pixel in
          for c in 0..<channels {
            let term = Double(weights[tap * channels + c]) * Double(pixel[c])
            expected[column * channels + c] += term
            magnitudes[column * channels + c] += abs(term)
            let product = Double(gradient[column * channels + c]) * Double(pixel[c])
            expectedSums[tap * channels + c] += product
            sumMagnitudes[tap * channels + c] += abs(product)
          }
        }
        #expect(
          disagreements(out.array(columns * channels), expected, magnitudes: magnitudes).isEmpty, "\(name), \(channels)"
        )
        #expect(out[columns * channels] == 9)
        #expect(
          disagreements(sums.array(9 * channels), expectedSums, magnitudes: sumMagnitudes).isEmpty,
          "\(name), \(channels): weights")
        withExtendedLifetime(memory) {}
      }
    }
  }

  @Test func agreesWithSums() {
    check(Float16.self)
    check(Float.self)
    check(Double.self)
  }

  /// Rows within an image, and at its edges.
  private func checkRows<E: Element>(_: E.Type, above: Bool, below: Bool, columns: Int) {
    typealias A = E.Accumulator
    let rows = 2
    for (name, kernels) in elementwiseTables(E.self) {
      for channels in [1, 9, 45, 64] {
        let memory = Memory(seed: UInt64(channels + columns)), line = columns * channels
        let x: [A] = memory.normals((rows + 2) * line), weights: [A] = memory.normals(9 * channels)
        let gradient: [A] = memory.normals(rows * line), start: [A] = memory.normals(9 * channels)
        let out = memory.place([A](repeating: 9, count: rows * line + 1)), sums = memory.place(start)
        let source = UnsafePointer(memory.place(x)) + line, up: Int32 = above ? 1 : 0, down: Int32 = below ? 1 : 0
        kernels.depthwise3(source, up, down, rows, columns, memory.place(weights), channels, out)
        kernels.depthwise3_weights(source, up, down, rows, columns, memory.place(gradient), channels, sums)
        var expected = [Double](repeating: 0, count: rows * line), magnitudes = expected
        var expectedSums = start.map(Double.init), sumMagnitudes = expectedSums.map(abs)
        for i in 0..<rows * line {
          for tap in 0..<9 {
            let row = i / line + tap / 3 - 1, column = i % line / channels + tap % 3 - 1, c = i % channels
            guard (above ? -1 : 0)...(below ? rows : rows - 1) ~= row, 0..<columns ~= column else { continue }
            let pixel = Double(x[(row + 1) * line + column * channels + c])
            let term = Double(weights[tap * channels + c]) * pixel, product = Double(gradient[i]) * pixel
            expected[i] += term
            magnitudes[i] += abs(term)
            expectedSums[tap * channels + c] += product
            sumMagnitudes[tap * channels + c] += abs(product)
          }
        }
        let label = "\(name), \(channels) channels, \(columns) columns"
        #expect(
          disagreements(out.array(rows * line), expected, magnitudes: magnitudes, steps: 8).isEmpty, "\(label)")
        #expect(out[rows * line] == 9)
        #expect(
          disagreements(sums.array(9 * channels), expectedSums, magnitudes: sumMagnitudes, steps: 8).isEmpty,
          "\(label): weights")
        withExtendedLifetime(memory) {}
      }
    }
  }

  @Test(arguments: [false, true], [false, true]) func rowsAgreeWithSums(_ above: Bool, _ below: Bool) {
    for columns in [1, 2, 5] {
      checkRows(Float16.self, above: above, below: below, columns: columns)
      checkRows(Float.self, above: above, below: below, columns: columns)
      checkRows(Double.self, above: above, below: below, columns: columns)
    }
  }

  /// The factors and sums of gates.
  @Test func weighedRows() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      for channels in [1, 45, 300] {
        let memory = Memory(seed: UInt64(channels)), count = 3
        let x: [Float] = memory.normals(count * channels), y: [Float] = memory.normals(count * channels)
        let factors: [Float] = memory.normals(channels), start: [Float] = memory.normals(count * channels)
        let out = memory.place(start), own = memory.place(start),
          sums = memory.place([Double](repeating: 1, count: channels))
        let products = memory.place([Double](repeating: 1, count: channels))
        kernels.weigh(memory.place(x), memory.place(factors), count, channels, 1, out)
        kernels.weigh(memory.place(x), memory.place(factors), count, channels, 0, own)
        kernels.sum_products(memory.place(x), nil, count, channels, sums)
        kernels.sum_products(memory.place(x), memory.place(y), count, channels, products)
        for i in 0..<count * channels {
          let product = factors[i % channels] * x[i]
          #expect(abs(out[i] - (start[i] + product)) < 1e-5 && abs(own[i] - product) < 1e-5, "\(name)")
        }
        for c in 0..<channels {
          let rows = (0..<count).map { $0 * channels + c }
          let sum = rows.reduce(1) { $0 + Double(x[$1]) },
            product = rows.reduce(1) { $0 + Double(x[$1]) * Double(y[$1]) }
          #expect(abs(sums[c] - sum) < 1e-5 && abs(products[c] - product) < 1e-5, "\(name)")
        }
        withExtendedLifetime(memory) {}
      }
    }
  }
}
