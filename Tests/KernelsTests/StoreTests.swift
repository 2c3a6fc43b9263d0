import CKernels
import Tensors
import Testing

/// The epilogue: bias, addend, gate, rounding and sums, in every combination.
@Suite struct StoreTests {
  private enum Gate: CaseIterable { case open, positive, affine }
  private enum Sums: CaseIterable {
    case none, forward, backward, backwardOfTwo
    /// Σv, Σv(z1 − mean1), Σv·z2: of a tangent, with the gradient for z2.
    case tangent
  }

  private struct Layout {
    let channels: Int
    /// Distance of rows; 0: one row for all.
    let ld: Int
    let to: [UInt32], from: [UInt32]
    let outPixels = 9, addendPixels = 4
  }

  private func check<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    let layouts = [
      Layout(channels: 1, ld: 3, to: [4], from: [2]),
      Layout(channels: 5, ld: 5, to: [0, 1, 2, 3], from: [0, 0, 1, 1]),
      Layout(channels: 64, ld: 0, to: [8, 2, 5], from: [3, 3, 0]),
      Layout(channels: 259, ld: 288, to: [7, 0, 3, 1, 8, 4, 2], from: [3, 2, 1, 0, 1, 2, 3]),
      Layout(channels: 512, ld: 512, to: [6, 5], from: [0, 3]),
    ]
    for (name, kernels) in elementwiseTables(E.self) {
      for (seed, layout) in layouts.enumerated() {
        for bias in [false, true] {
          for addend in [false, true] {
            for gate in Gate.allCases {
              for sums in Sums.allCases {
                let wrong = run(E.self, kernels, layout, UInt64(seed), bias: bias, addend: addend, gate, sums)
                #expect(
                  wrong.isEmpty,
                  "\(name), \(layout.channels) channels, bias \(bias), addend \(addend), \(gate), sums \(sums)")
              }
            }
          }
        }
      }
    }
  }

  private func run<E: Element>(
    _: E.Type, _ kernels: lineup_elementwise, _ layout: Layout, _ seed: UInt64, bias: Bool, addend: Bool, _ gate: Gate,
    _ sums: Sums
  ) -> [String] {
    typealias A = E.Accumulator
    let memory = Memory(seed: seed)
    let channels = layout.channels
    let count = layout.to.count
    let rows: [A] = memory.normals(max(1, count) * max(layout.ld, channels))
    let biases: [A] = memory.normals(channels)
    let scales: [A] = memory.normals(channels)
    let shifts: [A] = memory.normals(channels)
    let means: [[A]] = [memory.normals(channels), memory.normals(channels)]
    let addends: [E] = memory.normals(layout.addendPixels * channels)
    let gates: [E] = memory.normals(layout.outPixels * channels)
    let zs: [[E]] = [memory.normals(layout.outPixels * channels), memory.normals(layout.outPixels * channels)]
    let start: [A] = memory.normals(3 * channels)
    let out = memory.place([E](repeating: 77, count: layout.outPixels * channels))
    let sum = memory.place(start)

    var epilogue = lineup_epilogue()
    epilogue.out = UnsafeMutableRawPointer(out)
    if bias { epilogue.bias = UnsafeRawPointer(memory.place(biases)) }
    if addend { epilogue.addend = UnsafeRawPointer(memory.place(addends)) }
    if gate != .open { epilogue.gate = UnsafeRawPointer(memory.place(gates)) }
    if gate == .affine {
      epilogue.gate_scale = UnsafeRawPointer(memory.place(scales))
      epilogue.gate_shift = UnsafeRawPointer(memory.place(shifts))
    }
    switch sums {
    case .none: epilogue.sums = LINEUP_NO_SUMS
    case .forward: epilogue.sums = LINEUP_FORWARD_SUMS
    case .backward, .backwardOfTwo, .tangent:
      epilogue.sums = LINEUP_BACKWARD_SUMS
      epilogue.z1 = UnsafeRawPointer(memory.place(zs[0]))
      epilogue.mean1 = UnsafeRawPointer(memory.place(means[0]))
      if sums != .backward { epilogue.z2 = UnsafeRawPointer(memory.place(zs[1])) }
      if sums == .backwardOfTwo { epilogue.mean2 = UnsafeRawPointer(memory.place(means[1])) }
    }
    kernels.store(
      &epilogue, memory.place(rows), layout.ld, memory.place(layout.to), memory.place(layout.from), count, channels, sum
    )

    // Values: untouched where no row goes.
    var values = [Double](repeating: 77, count: layout.outPixels * channels)
    var magnitudes = [Double](repeating: 0, count: values.count)
    for r in 0..<count {
      for i in 0..<channels {
        let at = Int(layout.to[r]) * channels + i
        let terms = [
          Double(rows[r * layout.ld + i]), bias ? Double(biases[i]) : 0,
          addend ? Double(addends[Int(layout.from[r]) * channels + i]) : 0,
        ]
        let passes =
          switch gate {
          case .open: true
          case .positive: gates[at] > 0
          case .affine: Double(scales[i]) * Double(gates[at]) + Double(shifts[i]) > 0
          }
        values[at] = passes ? terms.reduce(0, +) : 0
        magnitudes[at] = passes ? terms.reduce(0) { $0 + abs($1) } : 0
      }
    }
    let stored = out.array(values.count)
    let wrong = disagreements(stored, values, magnitudes: magnitudes)
    if !wrong.isEmpty { return wrong }

    // Sums of what was stored, added to what was there.
    var expected = start.map { Double($0) }
    var sizes = start.map { abs(Double($0)) }
    func add(_ index: Int, _ term: Double) {
      expected[index] += term
      sizes[index] += abs(term)
    }
    for pixel in layout.to.map({ Int($0) }) where sums != .none {
      for i in 0..<channels {
        let at = pixel * channels + i
        let v = Double(stored[at])
        add(i, v)
        if sums == .forward {
          add(channels + i, v * v)
        } else {
          add(channels + i, v * (Double(zs[0][at]) - Double(means[0][i])))
          let mean2 = sums == .backwardOfTwo ? Double(means[1][i]) : 0
          if sums != .backward { add(2 * channels + i, v * (Double(zs[1][at]) - mean2)) }
        }
      }
    }
    return disagreements(sum.array(3 * channels), expected, magnitudes: sizes, steps: 16).map { "sums " + $0 }
  }

  @Test func float16() { check(Float16.self) }
  @Test func float32() { check(Float.self) }
  @Test func float64() { check(Double.self) }

  private func checkNonfinite<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      let memory = Memory(seed: 4)
      let channels = 19
      for bad in [A.nan, .infinity] {
        var row: [A] = memory.normals(channels)
        row[11] = bad
        let out: UnsafeMutablePointer<E> = memory.normal(channels)
        let sums = memory.place([A](repeating: 0, count: 3 * channels))
        var epilogue = lineup_epilogue()
        epilogue.out = UnsafeMutableRawPointer(out)
        epilogue.sums = LINEUP_FORWARD_SUMS
        epilogue.gate = UnsafeRawPointer(memory.place([E](repeating: 1, count: channels)))
        kernels.store(&epilogue, memory.place(row), channels, memory.place([0]), memory.place([0]), 1, channels, sums)
        for i in 0..<channels {
          #expect(out[i].isFinite == (i != 11), "\(name)")
          #expect(sums[i].isFinite == (i != 11) && sums[channels + i].isFinite == (i != 11), "\(name)")
        }
      }
    }
  }

  /// A tangent's sums: of a value that is not finite all three, of such a gradient the third.
  private func checkNonfiniteTangent<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      let memory = Memory(seed: 6)
      let channels = 19
      for bad in [A.nan, .infinity] {
        for inGradient in [false, true] {
          var row: [A] = memory.normals(channels)
          var gradient: [E] = memory.normals(channels)
          if inGradient { gradient[11] = E(bad) } else { row[11] = bad }
          let sums = memory.place([A](repeating: 0, count: 3 * channels))
          var epilogue = lineup_epilogue()
          epilogue.out = UnsafeMutableRawPointer(memory.place([E](repeating: 0, count: channels)))
          epilogue.sums = LINEUP_BACKWARD_SUMS
          epilogue.z1 = UnsafeRawPointer(memory.place(memory.normals(channels) as [E]))
          epilogue.mean1 = UnsafeRawPointer(memory.place(memory.normals(channels) as [A]))
          epilogue.z2 = UnsafeRawPointer(memory.place(gradient))
          kernels.store(&epilogue, memory.place(row), channels, memory.place([0]), memory.place([0]), 1, channels, sums)
          for i in 0..<channels {
            #expect(sums[i].isFinite == (i != 11 || inGradient), "\(name)")
            #expect(sums[channels + i].isFinite == (i != 11 || inGradient), "\(name)")
            #expect(sums[2 * channels + i].isFinite == (i != 11), "\(name)")
          }
        }
      }
    }
  }

  @Test func nonfiniteValuesComeOutAndIntoTheSums() {
    checkNonfinite(Float16.self)
    checkNonfinite(Float.self)
    checkNonfinite(Double.self)
    checkNonfiniteTangent(Float16.self)
    checkNonfiniteTangent(Float.self)
    checkNonfiniteTangent(Double.self)
  }

  /// float16 overflows to Inf above 65,520: that is what the loss scale listens for.
  @Test func float16Overflows() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 5)
      let row: [Float] = [65_504, 65_519, 65_520, -1e6, 1e-8, 0x1p-24, 1 + 0x1p-11, 1 + 0x3p-11]
      let out: UnsafeMutablePointer<Float16> = memory.normal(row.count)
      var epilogue = lineup_epilogue()
      epilogue.out = UnsafeMutableRawPointer(out)
      kernels.store(&epilogue, memory.place(row), row.count, memory.place([0]), memory.place([0]), 1, row.count, nil)
      #expect(out.array(row.count) == [65_504, 65_504, .infinity, -.infinity, 0, 0x1p-24, 1, 1 + 0x1p-9], "\(name)")
    }
  }
}
