import CKernels
import Tensors
import Testing

/// What a pass reads: the four readings of a stored tensor.
@Suite struct ReadTests {
  private func check<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (pixels, channels) in [(1, 1), (3, 5), (2, 64), (4, 67), (1, 300)] {
        let memory = Memory(seed: UInt64(pixels * channels))
        let x: [E] = memory.normals((pixels + 2) * channels)
        let z: [E] = memory.normals((pixels + 2) * channels)
        let a: [A] = memory.normals(channels)
        let b: [A] = memory.normals(channels)
        let c: [A] = memory.normals(channels)
        var operand = lineup_operand()
        operand.x = UnsafeRawPointer(memory.place(x))
        operand.a = UnsafeRawPointer(memory.place(a))
        operand.b = UnsafeRawPointer(memory.place(b))
        operand.c = UnsafeRawPointer(memory.place(c))
        for reading in [LINEUP_PLAIN, LINEUP_AFFINE, LINEUP_ACTIVATION, LINEUP_NORM_GRADIENT] {
          operand.reading = reading
          operand.z = reading == LINEUP_NORM_GRADIENT ? UnsafeRawPointer(memory.place(z)) : nil
          var expected: [Double] = []
          var magnitudes: [Double] = []
          for i in channels..<(pixels + 1) * channels {
            let j = i % channels
            let xi = Double(x[i])
            let zi = Double(z[i])
            let (ai, bi, ci) = (Double(a[j]), Double(b[j]), Double(c[j]))
            switch reading {
            case LINEUP_PLAIN: expected.append(xi)
            case LINEUP_AFFINE: expected.append(ai * xi + bi)
            case LINEUP_ACTIVATION: expected.append(max(0, ai * xi + bi))
            default: expected.append(ai * xi + bi * zi + ci)
            }
            magnitudes.append(reading == LINEUP_PLAIN ? 0 : abs(ai * xi) + abs(bi) + abs(bi * zi) + abs(ci))
          }
          let out = memory.place([A](repeating: 9, count: pixels * channels + 1))
          kernels.read(&operand, 1, pixels, channels, out)
          #expect(out[pixels * channels] == 9)
          let wrong = disagreements(out.array(pixels * channels), expected, magnitudes: magnitudes)
          #expect(wrong.isEmpty, "\(name) reading \(reading.rawValue) of \(pixels) × \(channels)")
        }
      }
    }
  }

  @Test func float16() { check(Float16.self) }
  @Test func float32() { check(Float.self) }
  @Test func float64() { check(Double.self) }

  private func checkNonfinite<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      let memory = Memory(seed: 1)
      let channels = 37
      for position in [0, 20, 36] {
        for bad in [E.nan, .infinity, -.infinity] {
          var x: [E] = memory.normals(channels)
          x[position] = bad
          var operand = lineup_operand()
          operand.x = UnsafeRawPointer(memory.place(x))
          operand.z = operand.x
          operand.a = UnsafeRawPointer(memory.place([A](repeating: 2, count: channels)))
          operand.b = UnsafeRawPointer(memory.place([A](repeating: 1, count: channels)))
          operand.c = operand.b
          let out = memory.place([A](repeating: 0, count: channels))
          for reading in [LINEUP_PLAIN, LINEUP_AFFINE, LINEUP_ACTIVATION, LINEUP_NORM_GRADIENT] {
            operand.reading = reading
            kernels.read(&operand, 0, 1, channels, out)
            let value = out[position]
            if bad.isNaN {
              #expect(value.isNaN, "\(name) reading \(reading.rawValue)")
            } else {
              #expect(
                value == (reading == LINEUP_ACTIVATION && bad < 0 ? 0 : A(bad)), "\(name) reading \(reading.rawValue)")
            }
            for i in 0..<channels where i != position { #expect(out[i].isFinite) }
          }
        }
      }
    }
  }

  /// NaN stays NaN through the ReLU too.
  @Test func nonfiniteValuesComeOut() {
    checkNonfinite(Float16.self)
    checkNonfinite(Float.self)
    checkNonfinite(Double.self)
  }

  @Test func bfloat16RoundsToNearestEven() {
    for (name, kernels) in elementwiseTables(Float.self) {
      let memory = Memory(seed: 2)
      // 1 + 2⁻⁸ and 1 + 3·2⁻⁸ are ties; the largest float rounds to Inf.
      let ties: [Float] = [1 + 0x1p-8, 1 + 0x3p-8, -1 - 0x1p-8, 1 + 0x1.01p-8, 1 + 0x0.ffp-8, 0, -0.0]
      let x: [Float] =
        ties + memory.normals(200) + memory.normals(50, deviation: 1e-20) + memory.normals(50, deviation: 1e30)
      var operand = lineup_operand()
      (operand.reading, operand.bfloat16) = (LINEUP_PLAIN, 1)
      operand.x = UnsafeRawPointer(memory.place(x))
      let out: UnsafeMutablePointer<Float> = memory.normal(x.count)
      kernels.read(&operand, 0, x.count, 1, out)
      #expect(out.array(x.count).map { Double($0) } == x.map { bfloat16(Double($0)) }, "\(name)")
      #expect(out.array(2) == [1, 1 + 0x1p-6])

      let special: [Float] = [.nan, Float(bitPattern: 0x7f80_0001), .infinity, -.infinity, .greatestFiniteMagnitude]
      operand.x = UnsafeRawPointer(memory.place(special))
      kernels.read(&operand, 0, special.count, 1, out)
      #expect(out[0].isNaN && out[1].isNaN)
      #expect(out[2] == .infinity && out[3] == -.infinity && out[4] == .infinity)
    }
    for (name, kernels) in elementwiseTables(Double.self) {
      let memory = Memory(seed: 3)
      let x: [Double] = memory.normals(20)
      var operand = lineup_operand()
      (operand.reading, operand.bfloat16) = (LINEUP_PLAIN, 1)
      operand.x = UnsafeRawPointer(memory.place(x))
      let out: UnsafeMutablePointer<Double> = memory.normal(20)
      kernels.read(&operand, 0, 20, 1, out)
      #expect(out.array(20) == x, "\(name): float64 stays as it is")
    }
  }
}
