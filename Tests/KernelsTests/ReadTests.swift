import CKernels
import Tensors
import Testing

/// What a pass reads: the six readings of a stored tensor.
@Suite struct ReadTests {
  private static let readings = [
    LINEUP_PLAIN, LINEUP_AFFINE, LINEUP_ACTIVATION, LINEUP_NORM_GRADIENT, LINEUP_ACTIVATION_TANGENT,
    LINEUP_REGULARIZED_NORM_GRADIENT,
  ]

  /// The terms of a reading's sum, by its definition in float64; `gate` is that of an activation's tangent.
  private func terms(
    _ reading: lineup_reading, _ x: Double, _ z: Double, _ g: Double, _ t: Double, _ v: [Double]
  ) -> (terms: [Double], isOpen: Bool) {
    let (a, b, c, d, e) = (v[0], v[1], v[2], v[3], v[4])
    switch reading {
    case LINEUP_PLAIN: return ([x], true)
    case LINEUP_AFFINE: return ([a * x, b], true)
    case LINEUP_ACTIVATION: return ([a * x, b], a * x + b > 0)
    case LINEUP_NORM_GRADIENT: return ([a * x, b * z, c], true)
    case LINEUP_ACTIVATION_TANGENT: return ([a * x, b * z, c], d * z + e > 0)
    default: return ([a * x, b * z, c, d * g, e * t], true)
    }
  }

  private func check<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (pixels, channels) in [(1, 1), (3, 5), (2, 64), (4, 67), (1, 300)] {
        let memory = Memory(seed: UInt64(pixels * channels))
        let tensors: [[E]] = (0..<4).map { _ in memory.normals((pixels + 2) * channels) }
        let vectors: [[A]] = (0..<5).map { _ in memory.normals(channels) }
        for reading in Self.readings {
          var operand = lineup_operand()
          operand.reading = reading
          func place(_ needed: [lineup_reading], _ index: Int) -> UnsafeRawPointer? {
            needed.contains(reading) ? UnsafeRawPointer(memory.place(tensors[index])) : nil
          }
          operand.x = UnsafeRawPointer(memory.place(tensors[0]))
          operand.z = place(Array(Self.readings[3...]), 1)
          operand.g = place([LINEUP_REGULARIZED_NORM_GRADIENT], 2)
          operand.t = place([LINEUP_REGULARIZED_NORM_GRADIENT], 3)
          let placed = vectors.map { UnsafeRawPointer(memory.place($0)) }
          (operand.a, operand.b, operand.c, operand.d, operand.e) = (
            placed[0], placed[1], placed[2], placed[3], placed[4]
          )
          var expected: [Double] = []
          var magnitudes: [Double] = []
          for i in channels..<(pixels + 1) * channels {
            let at = tensors.map { Double($0[i]) }
            let (terms, isOpen) = terms(
              reading, at[0], at[1], at[2], at[3], vectors.map { Double($0[i % channels]) })
            expected.append(isOpen ? terms.reduce(0, +) : 0)
            magnitudes.append(reading == LINEUP_PLAIN ? 0 : terms.reduce(0) { $0 + abs($1) })
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

  /// What is not finite in any of the tensors that a reading takes, at one place, comes out there and nowhere else.
  private func checkNonfinite<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    let tensorsRead = [
      LINEUP_PLAIN: 1, LINEUP_AFFINE: 1, LINEUP_ACTIVATION: 1, LINEUP_NORM_GRADIENT: 2, LINEUP_ACTIVATION_TANGENT: 1,
      LINEUP_REGULARIZED_NORM_GRADIENT: 4,
    ]
    for (name, kernels) in elementwiseTables(E.self) {
      let channels = 37
      for (reading, count) in tensorsRead {
        for tensor in 0..<count {
          for position in [0, 20, 36] {
            for bad in [E.nan, .infinity, -.infinity] {
              let memory = Memory(seed: 1)
              // Small next to the shifts, so that the gates are open.
              var tensors: [[E]] = (0..<4).map { _ in memory.normals(channels, deviation: 0.1) }
              tensors[tensor][position] = bad
              let placed = tensors.map { UnsafeRawPointer(memory.place($0)) }
              var operand = lineup_operand()
              operand.reading = reading
              (operand.x, operand.z, operand.g, operand.t) = (placed[0], placed[1], placed[2], placed[3])
              let twos = UnsafeRawPointer(memory.place([A](repeating: 2, count: channels)))
              let ones = UnsafeRawPointer(memory.place([A](repeating: 1, count: channels)))
              (operand.a, operand.b, operand.c, operand.d, operand.e) = (twos, ones, ones, ones, ones)
              let out = memory.place([A](repeating: 0, count: channels))
              kernels.read(&operand, 0, 1, channels, out)
              let value = out[position]
              if bad.isNaN {
                #expect(value.isNaN, "\(name) reading \(reading.rawValue), tensor \(tensor)")
              } else {
                #expect(
                  value == (reading == LINEUP_ACTIVATION && bad < 0 ? 0 : A(bad)),
                  "\(name) reading \(reading.rawValue), tensor \(tensor)")
              }
              for i in 0..<channels where i != position { #expect(out[i].isFinite) }
            }
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
