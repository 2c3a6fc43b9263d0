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
}
