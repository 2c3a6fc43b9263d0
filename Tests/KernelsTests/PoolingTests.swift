import CKernels
import Tensors
import Testing

/// 3×3 max pooling, stride 2, with padding 1 and 0, line by line, against the definition.
@Suite struct PoolingTests {
  private static let padded = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (4, 6), (5, 4), (7, 9), (8, 1)]
  /// Heights, widths, and the padding.
  private static let sizes = padded.map { ($0, $1, 1) } + padded.filter { min($0, $1) > 1 }.map { ($0, $1, 0) }

  /// The winning value and tap of an output: the first of the largest, over max(0, a x + b).
  private func winner(
    _ height: Int, _ width: Int, _ padding: Int, _ row: Int, _ column: Int, _ value: (Int, Int) -> Double
  ) -> (Double, Int) {
    var best = -1.0
    var index = 0
    for tap in 0..<9 {
      let h = 2 * row + tap / 3 - padding
      let w = 2 * column + tap % 3 - padding
      guard h >= 0, h < height, w >= 0, w < width else { continue }
      let v = max(0, value(h, w))
      if v > best { (best, index) = (v, tap) }
    }
    return (best, index)
  }

  private func check<E: Element>(_: E.Type, ties: Bool) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (height, width, padding) in Self.sizes {
        for channels in [1, 3, 64, 261] {
          let memory = Memory(seed: UInt64(height * 100 + width))
          let first = 3
          let area = height * width
          // Small whole numbers make many ties, and no rounding.
          let x: [E] =
            ties
            ? (0..<(first + area) * channels).map { _ in E(memory.integer(below: 4)) }
            : memory.normals((first + area) * channels)
          let a: [A] = ties ? [A](repeating: 1, count: channels) : memory.normals(channels)
          let b: [A] = ties ? [A](repeating: -1, count: channels) : memory.normals(channels)
          var image = lineup_operand()
          image.reading = LINEUP_ACTIVATION
          image.x = UnsafeRawPointer(memory.place(x))
          image.a = UnsafeRawPointer(memory.place(a))
          image.b = UnsafeRawPointer(memory.place(b))
          let columns = (width + padding) / 2
          var values: [E] = []
          var indices: [Int] = []
          var expected: [Double] = []
          var taps: [Int] = []
          for row in 0..<(height + padding) / 2 {
            let out = memory.place([E](repeating: 99, count: columns * channels + 1))
            let index = memory.place([UInt8](repeating: 99, count: columns * channels + 1))
            kernels.max_pool(&image, first, height, width, channels, padding, row, out, index)
            #expect(out[columns * channels] == 99 && index[columns * channels] == 99)
            values += out.array(columns * channels)
            indices += index.array(columns * channels).map { Int($0) }
            for column in 0..<columns {
              for i in 0..<channels {
                let (value, tap) = winner(height, width, padding, row, column) { h, w in
                  Double(a[i]) * Double(x[(first + h * width + w) * channels + i]) + Double(b[i])
                }
                expected.append(value)
                taps.append(tap)
              }
            }
          }
          let magnitudes = expected.map { abs($0) + 4 }
          #expect(
            disagreements(values, expected, magnitudes: magnitudes).isEmpty,
            "\(name) \(height)×\(width)×\(channels), padding \(padding)")
          #expect(indices == taps, "\(name) \(height)×\(width)×\(channels), padding \(padding)")
        }
      }
    }
  }

  @Test func float16() { check(Float16.self, ties: false) }
  @Test func float32() { check(Float.self, ties: false) }
  @Test func float64() { check(Double.self, ties: false) }

  @Test func theFirstOfEqualsWins() {
    check(Float16.self, ties: true)
    check(Double.self, ties: true)
  }

  /// A NaN wins over whatever stands before or after it in the window.
  @Test func nonfiniteValuesComeOut() {
    for (name, kernels) in elementwiseTables(Float.self) {
      for position in 0..<9 {
        for bad in [Float.nan, .infinity] {
          let memory = Memory(seed: 1)
          // The output (1, 1) of 4 × 4 pixels sees rows and columns 1 … 3.
          var x = (0..<16).map { Float($0) }
          x[(1 + position / 3) * 4 + 1 + position % 3] = bad
          var image = activation(x, memory)
          let out: UnsafeMutablePointer<Float> = memory.normal(2)
          let index = memory.place([UInt8](repeating: 99, count: 2))
          kernels.max_pool(&image, 0, 4, 4, 1, 1, 1, out, index)
          #expect(bad.isNaN ? out[1].isNaN : out[1] == bad, "\(name): \(bad) at tap \(position) is lost")
          #expect(index[1] == position, "\(name): \(bad) at tap \(position)")
        }
      }
    }
  }

  /// What PyTorch's `max_pool2d(relu(x), 3, 2, 0, ceil_mode=True)` gives, and its gradient from 1, 2, ….
  @Test func withoutPaddingAsInPyTorch() {
    let x: [Float] = [
      5, 0, 2, -3, 4, 0, 4, 4, -2, 0, 2, -1, -3, 0, 7, 5, -3, -3, -1, 6, -1, 8, 8, -1, 5, 2, -2, 2, 6, -3,
    ]
    let y: [Float] = [7, 7, 4, 7, 8, 8]
    var xBar = [Float](repeating: 0, count: 30)
    (xBar[4], xBar[14], xBar[21], xBar[22]) = (3, 7, 5, 6)
    for (name, kernels) in elementwiseTables(Float.self) {
      let memory = Memory(seed: 1)
      var image = activation(x, memory)
      let out: UnsafeMutablePointer<Float> = memory.normal(6)
      let index = memory.place([UInt8](repeating: 99, count: 6))
      for row in 0..<2 { kernels.max_pool(&image, 0, 5, 6, 1, 0, row, out + 3 * row, index + 3 * row) }
      #expect(out.array(6) == y, "\(name)")
      let yBar = memory.place((1...6).map { Float($0) })
      var found: [Float] = []
      for row in 0..<5 {
        let line: UnsafeMutablePointer<Float> = memory.normal(6)
        kernels.max_pool_backward(yBar, index, 5, 6, 1, 0, row, line)
        found += line.array(6)
      }
      #expect(found == xBar, "\(name)")
    }
  }

  private func checkBackward<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (height, width, padding) in Self.sizes {
        for channels in [1, 3, 67] {
          let memory = Memory(seed: UInt64(height * 100 + width))
          let rows = (height + padding) / 2
          let columns = (width + padding) / 2
          let gradient: [E] = memory.normals(rows * columns * channels)
          var index = [UInt8](repeating: 0, count: gradient.count)
          var expected = [Double](repeating: 0, count: height * width * channels)
          var magnitudes = expected
          for output in 0..<rows * columns {
            for i in 0..<channels {
              // any tap inside of the image
              var tap = 0
              var h = -1
              var w = -1
              while h < 0 || h >= height || w < 0 || w >= width {
                tap = memory.integer(below: 9)
                (h, w) = (output / columns * 2 + tap / 3 - padding, output % columns * 2 + tap % 3 - padding)
              }
              index[output * channels + i] = UInt8(tap)
              let at = (h * width + w) * channels + i
              expected[at] += Double(gradient[output * channels + i])
              magnitudes[at] += abs(Double(gradient[output * channels + i]))
            }
          }
          let gradientMemory = memory.place(gradient)
          let indexMemory = memory.place(index)
          var actual: [A] = []
          for row in 0..<height {
            let out = memory.place([A](repeating: 99, count: width * channels + 1))
            kernels.max_pool_backward(gradientMemory, indexMemory, height, width, channels, padding, row, out)
            #expect(out[width * channels] == 99)
            actual += out.array(width * channels)
          }
          #expect(
            disagreements(actual, expected, magnitudes: magnitudes).isEmpty,
            "\(name) \(height)×\(width)×\(channels), padding \(padding)")
        }
      }
    }
  }

  @Test func backward() {
    checkBackward(Float16.self)
    checkBackward(Float.self)
    checkBackward(Double.self)
  }

  /// max(0, x) of one channel, pending.
  private func activation(_ x: [Float], _ memory: Memory) -> lineup_operand {
    var image = lineup_operand()
    image.reading = LINEUP_ACTIVATION
    image.x = UnsafeRawPointer(memory.place(x))
    image.a = UnsafeRawPointer(memory.place([Float(1)]))
    image.b = UnsafeRawPointer(memory.place([Float(0)]))
    return image
  }
}
