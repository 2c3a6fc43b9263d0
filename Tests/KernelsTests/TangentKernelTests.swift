import CKernels
import Tensors
import Testing

/// The kernels of the tangent passes: the residual join's and the max pooling's.
@Suite struct TangentKernelTests {
  /// A pending ẏ = a ż + b z + c, and the tensors and vectors it is made of.
  private struct Pending<E: Element> {
    typealias A = E.Accumulator
    let tensors: [[E]]
    let vectors: [[A]]
    let operand: lineup_operand

    init(_ reading: lineup_reading, _ memory: Memory, pixels: Int, channels: Int, bad: (tensor: Int, at: Int, E)? = nil)
    {
      var tensors: [[E]] = (0..<2).map { _ in memory.normals(pixels * channels) }
      if let bad { tensors[bad.tensor][bad.at] = bad.2 }
      vectors = (0..<5).map { _ in memory.normals(channels) }
      self.tensors = tensors
      let placed = vectors.map { UnsafeRawPointer(memory.place($0)) }
      var operand = lineup_operand()
      operand.reading = reading
      operand.x = UnsafeRawPointer(memory.place(tensors[0]))
      guard reading != LINEUP_PLAIN else {
        self.operand = operand
        return
      }
      operand.z = UnsafeRawPointer(memory.place(tensors[1]))
      (operand.a, operand.b, operand.c) = (placed[0], placed[1], placed[2])
      if reading == LINEUP_ACTIVATION_TANGENT { (operand.d, operand.e) = (placed[3], placed[4]) }
      self.operand = operand
    }

    /// The terms of the value at an element.
    func terms(_ i: Int) -> [Double] {
      let (x, z, j) = (Double(tensors[0][i]), Double(tensors[1][i]), i % vectors[0].count)
      guard operand.reading != LINEUP_PLAIN else { return [x] }
      return [Double(vectors[0][j]) * x, Double(vectors[1][j]) * z, Double(vectors[2][j])]
    }

    /// Whether the activation is positive at an element.
    func isOpen(_ i: Int) -> Bool {
      let j = i % vectors[0].count
      return Double(vectors[3][j]) * Double(tensors[1][i]) + Double(vectors[4][j]) > 0
    }
  }

  private func checkJoin<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for (pixels, channels) in [(1, 1), (3, 7), (2, 64), (3, 256), (2, 259), (1, 600)] {
        for shortcut in [LINEUP_PLAIN, LINEUP_NORM_GRADIENT] {
          for adds in [false, true] {
            let memory = Memory(seed: UInt64(channels))
            // one pixel before the range and one behind it
            let count = (pixels + 2) * channels, range = channels..<(pixels + 1) * channels
            let main = Pending<E>(LINEUP_NORM_GRADIENT, memory, pixels: pixels + 2, channels: channels)
            let side = Pending<E>(shortcut, memory, pixels: pixels + 2, channels: channels)
            // a rectified output: half of it 0
            let y: [E] = memory.normals(count).map { $0 < 0 ? 0 : $0 }
            let v: [E] = memory.normals(count)
            let out = memory.place([E](repeating: 9, count: count))
            var (z, s) = (main.operand, side.operand)
            kernels.join_tangent(
              memory.place(y), &z, &s, adds ? memory.place(v) : nil, 1, pixels, channels, out)
            var expected: [Double] = [], magnitudes: [Double] = []
            for i in range {
              let terms = (y[i] > 0 ? main.terms(i) + side.terms(i) : []) + (adds ? [Double(v[i])] : [])
              expected.append(terms.reduce(0, +))
              magnitudes.append(terms.reduce(0) { $0 + abs($1) })
            }
            let stored = out.array(count)
            #expect(
              disagreements(Array(stored[range]), expected, magnitudes: magnitudes, steps: 8).isEmpty,
              "\(name) \(pixels)×\(channels), shortcut \(shortcut.rawValue), adds \(adds)")
            #expect(stored.indices.allSatisfy { range.contains($0) || stored[$0] == 9 }, "\(name) wrote elsewhere")
          }
        }
      }
    }
  }

  @Test func join() {
    checkJoin(Float16.self)
    checkJoin(Float.self)
    checkJoin(Double.self)
  }

  /// Where the gate is open, all that is not finite comes out; the direction always does.
  private func checkNonfiniteJoin<E: Element>(_: E.Type) {
    let channels = 21
    for (name, kernels) in elementwiseTables(E.self) {
      for bad in [E.nan, .infinity, -.infinity] {
        for source in ["ż", "z", "shortcut's ż", "shortcut's z", "v"] {
          for position in [0, 13, 20] {
            let memory = Memory(seed: 3)
            func flaw(_ x: String, _ z: String) -> (Int, Int, E)? {
              source == x ? (0, position, bad) : source == z ? (1, position, bad) : nil
            }
            let main = Pending<E>(
              LINEUP_NORM_GRADIENT, memory, pixels: 1, channels: channels, bad: flaw("ż", "z"))
            let side = Pending<E>(
              LINEUP_NORM_GRADIENT, memory, pixels: 1, channels: channels, bad: flaw("shortcut's ż", "shortcut's z"))
            var v: [E] = memory.normals(channels)
            if source == "v" { v[position] = bad }
            let out = memory.place([E](repeating: 0, count: channels))
            var (z, s) = (main.operand, side.operand)
            for y in [1, 0] as [E] where y > 0 || source == "v" {
              kernels.join_tangent(
                memory.place([E](repeating: y, count: channels)), &z, &s, memory.place(v), 0, 1, channels, out)
              for i in 0..<channels {
                #expect(out[i].isFinite == (i != position), "\(name): \(bad) of \(source) at \(position)")
              }
            }
          }
        }
      }
    }
  }

  @Test func joinKeepsNonfiniteValues() {
    checkNonfiniteJoin(Float16.self)
    checkNonfiniteJoin(Float.self)
    checkNonfiniteJoin(Double.self)
  }

  /// float16 overflows to Inf: that is what the scale of the tangents listens for.
  @Test func float16JoinOverflows() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 4)
      var plain = lineup_operand()
      plain.reading = LINEUP_PLAIN
      plain.x = UnsafeRawPointer(memory.place([Float16](repeating: 60_000, count: 2)))
      var z = lineup_operand()
      z.reading = LINEUP_NORM_GRADIENT
      z.x = plain.x
      z.z = plain.x
      z.a = UnsafeRawPointer(memory.place([Float](repeating: 1, count: 2)))
      z.b = UnsafeRawPointer(memory.place([Float](repeating: 0, count: 2)))
      z.c = z.b
      let out: UnsafeMutablePointer<Float16> = memory.normal(2)
      kernels.join_tangent(memory.place([Float16(1), 0]), &z, &plain, nil, 0, 1, 2, out)
      #expect(out[0] == .infinity && out[1] == 0, "\(name)")
    }
  }

  private static let padded = [(1, 1), (1, 2), (2, 1), (3, 3), (4, 6), (5, 4), (7, 9), (8, 1)]
  /// Heights, widths, and the padding.
  private static let sizes = padded.map { ($0, $1, 1) } + padded.filter { min($0, $1) > 1 }.map { ($0, $1, 0) }

  /// For each output any tap inside of the image.
  private func taps(_ height: Int, _ width: Int, _ padding: Int, _ channels: Int, _ memory: Memory) -> [UInt8] {
    var index: [UInt8] = []
    let columns = (width + padding) / 2
    for output in 0..<(height + padding) / 2 * columns * channels {
      let (row, column) = (output / channels / columns, output / channels % columns)
      while true {
        let tap = memory.integer(below: 9)
        let (h, w) = (2 * row + tap / 3 - padding, 2 * column + tap % 3 - padding)
        guard h >= 0, h < height, w >= 0, w < width else { continue }
        index.append(UInt8(tap))
        break
      }
    }
    return index
  }

  private func checkPool<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for (height, width, padding) in Self.sizes {
        for channels in [1, 3, 64, 261] {
          let memory = Memory(seed: UInt64(height * 100 + width))
          let first = 3  // pixels of the images before this one
          let image = Pending<E>(
            LINEUP_ACTIVATION_TANGENT, memory, pixels: first + height * width, channels: channels)
          let index = taps(height, width, padding, channels, memory)
          var operand = image.operand
          let line = (width + padding) / 2 * channels
          var values: [E] = [], expected: [Double] = [], magnitudes: [Double] = []
          for row in 0..<(height + padding) / 2 {
            let out = memory.place([E](repeating: 99, count: line + 1))
            let own = Array(index[row * line..<(row + 1) * line])
            kernels.max_pool_tangent(&operand, memory.place(own), first, height, width, channels, padding, row, out)
            #expect(out[line] == 99)
            values += out.array(line)
            for (i, tap) in own.enumerated() {
              let h = 2 * row + Int(tap) / 3 - padding, w = 2 * (i / channels) + Int(tap) % 3 - padding
              let at = (first + h * width + w) * channels + i % channels
              let terms = image.isOpen(at) ? image.terms(at) : []
              expected.append(terms.reduce(0, +))
              magnitudes.append(terms.reduce(0) { $0 + abs($1) })
            }
          }
          #expect(
            disagreements(values, expected, magnitudes: magnitudes).isEmpty, "\(name) \(height)×\(width)×\(channels)")
          #expect(channels < 64 || expected.contains(0) && expected.contains { $0 != 0 })
        }
      }
    }
  }

  @Test func maxPool() {
    checkPool(Float16.self)
    checkPool(Float.self)
    checkPool(Double.self)
  }

  /// At a winner, what is not finite comes out; elsewhere nobody looks.
  private func checkNonfinitePool<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for tap in 0..<9 {
        for bad in [E.nan, .infinity, -.infinity] {
          let memory = Memory(seed: 5)
          // The output (1, 1) of 4 × 4 pixels sees rows and columns 1 … 3.
          var x = (0..<16).map { E($0) }
          x[(1 + tap / 3) * 4 + 1 + tap % 3] = bad
          var image = lineup_operand()
          image.reading = LINEUP_ACTIVATION_TANGENT
          image.x = UnsafeRawPointer(memory.place(x))
          image.z = UnsafeRawPointer(memory.place([E](repeating: 1, count: 16)))
          let one = UnsafeRawPointer(memory.place([A(1)]))
          (image.a, image.b, image.c, image.d, image.e) = (one, one, one, one, one)
          for winner in 0..<9 {
            let out: UnsafeMutablePointer<E> = memory.normal(2)
            kernels.max_pool_tangent(&image, memory.place([4, UInt8(winner)]), 0, 4, 4, 1, 1, 1, out)
            #expect(out[1].isFinite == (winner != tap), "\(name): \(bad) at tap \(tap), winner \(winner)")
          }
        }
      }
    }
  }

  @Test func maxPoolKeepsNonfiniteValues() {
    checkNonfinitePool(Float16.self)
    checkNonfinitePool(Float.self)
    checkNonfinitePool(Double.self)
  }
}
