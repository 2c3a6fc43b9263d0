import CKernels
import Tensors
import Testing

/// `read_bfloat16`: what `read` gives (see `ReadTests`), rounded to bfloat16, and the rest of it rounded likewise.
@Suite struct BFloat16ReadTests {
  private static let readings = [
    LINEUP_PLAIN, LINEUP_AFFINE, LINEUP_ACTIVATION, LINEUP_NORM_GRADIENT, LINEUP_ACTIVATION_TANGENT,
    LINEUP_REGULARIZED_NORM_GRADIENT,
  ]
  private static let guardBits: UInt16 = 0x1234

  /// hi and lo of `count` pixels from `pixel` on, in memory with guards around; hi without lo is the same.
  private func read(
    _ kernels: lineup_elementwise, _ operand: lineup_operand, _ pixel: Int, _ count: Int, _ channels: Int,
    _ memory: Memory, _ what: String
  ) -> (hi: [UInt16], lo: [UInt16]) {
    let elements = count * channels
    var operand = operand
    func guarded(_ body: (UnsafeMutablePointer<UInt16>) -> Void) -> [UInt16] {
      let all = memory.place([UInt16](repeating: Self.guardBits, count: elements + 2))
      body(all + 1)
      #expect(all[0] == Self.guardBits && all[elements + 1] == Self.guardBits, "\(what): written elsewhere")
      return (all + 1).array(elements)
    }
    var hi: [UInt16] = []
    let lo = guarded { lo in hi = guarded { hi in kernels.read_bfloat16(&operand, pixel, count, channels, hi, lo) } }
    for rounded in [0, 1] as [Int32] {
      operand.bfloat16 = rounded
      let alone = guarded { kernels.read_bfloat16(&operand, pixel, count, channels, $0, nil) }
      #expect(alone == hi, "\(what): without lo")
    }
    return (hi, lo)
  }

  /// Where planes are not those of the values.
  private func wrong(_ planes: (hi: [UInt16], lo: [UInt16]), _ values: [Float]) -> [String] {
    var wrong: [String] = []
    for (i, value) in values.enumerated() {
      let value = Double(value)
      let hi = bfloat16(value)
      guard hi.isFinite else {
        // Inf stays Inf, and its rest is NaN; NaN stays NaN.
        let read = bfloat16(bits: planes.hi[i])
        if !(value.isNaN ? read.isNaN : read == hi) { wrong.append("[\(i)] \(read) of \(value)") }
        continue
      }
      let lo = bfloat16(bits: planes.lo[i]), tiny = 0x1p-126
      // What is subnormal in float32 may be flushed, all of a number or its rest.
      if abs(value) < tiny && planes.hi[i] & 0x7fff == 0 && lo == 0 { continue }
      if abs(value - hi) < tiny && lo == 0 && planes.hi[i] == bits(hi) { continue }
      if planes.hi[i] != bits(hi) || lo != bfloat16(value - hi) {
        wrong.append("[\(i)] \(bfloat16(bits: planes.hi[i])) + \(lo) of \(value)")
      }
      if !(abs(value - hi - lo) <= max(abs(value) * 0x1p-16, 0x1p-134)) { wrong.append("[\(i)] the test itself") }
    }
    return Array(wrong.prefix(5))
  }

  private func check<E: Element>(_: E.Type) where E.Accumulator == Float {
    for (name, kernels) in elementwiseTables(E.self) {
      for (pixels, channels) in [
        (1, 1), (2050, 1), (3, 5), (33, 64), (4, 67), (6, 683), (2, 2048), (3, 2049), (2, 4099),
      ] {
        let memory = Memory(seed: UInt64(pixels * channels))
        let tensors = (0..<4).map { _ in
          UnsafeRawPointer(memory.normal((pixels + 2) * channels) as UnsafeMutablePointer<E>)
        }
        let vectors = (0..<5).map { _ in UnsafeRawPointer(memory.normal(channels) as UnsafeMutablePointer<Float>) }
        for (index, reading) in Self.readings.enumerated() {
          var operand = lineup_operand()
          operand.reading = reading
          operand.x = tensors[0]
          // Only what a reading takes is there.
          if index >= 3 { operand.z = tensors[1] }
          if index == 5 { (operand.g, operand.t) = (tensors[2], tensors[3]) }
          if index >= 1 { (operand.a, operand.b) = (vectors[0], vectors[1]) }
          if index >= 3 { operand.c = vectors[2] }
          if index >= 4 { (operand.d, operand.e) = (vectors[3], vectors[4]) }
          let what = "\(name) reading \(reading.rawValue) of \(pixels) × \(channels)"
          let values = memory.place([Float](repeating: 0, count: pixels * channels))
          kernels.read(&operand, 1, pixels, channels, values)
          let planes = read(kernels, operand, 1, pixels, channels, memory, what)
          let wrong = wrong(planes, values.array(pixels * channels))
          #expect(wrong.isEmpty, "\(what)")
        }
      }
    }
  }

  @Test func float16() { check(Float16.self) }
  @Test func float32() { check(Float.self) }

  private func plain<E: Element>(_ x: [E], _ memory: Memory) -> lineup_operand {
    var operand = lineup_operand()
    operand.reading = LINEUP_PLAIN
    operand.x = UnsafeRawPointer(memory.place(x))
    return operand
  }

  /// All 65,536 of them: hi + lo is the number, and what is not finite stays so.
  @Test func float16NumbersAreTheSumOfTheirPlanes() {
    let all = (0...UInt16.max).map { Float16(bitPattern: $0) }
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 1)
      let planes = read(kernels, plain(all, memory), 0, all.count, 1, memory, name)
      #expect(wrong(planes, all.map { Float($0) }).isEmpty, "\(name)")
      let inexact = all.indices.filter { i in
        let (hi, lo) = (bfloat16(bits: planes.hi[i]), bfloat16(bits: planes.lo[i]))
        return all[i].isFinite && !(hi + lo == Double(all[i]) && hi.sign == all[i].sign)
      }
      #expect(inexact.isEmpty, "\(name): \(inexact.count), the first \(inexact.first.map { all[$0] } ?? 0)")
    }
  }

  @Test func float32ExtremesAreSplit() {
    var x: [Float] = [
      .nan, .signalingNaN, Float(bitPattern: 0xff80_0001), .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude,
      -.leastNormalMagnitude, .leastNormalMagnitude.nextDown, 0x1p-133, 0x1.8p-133, 0x1p-134, .greatestFiniteMagnitude,
      -.greatestFiniteMagnitude, 0x1.fep127, 0x1.fefffep127, 0x1.ffp127,
      // ties, of hi and of lo
      1 + 0x1p-8, 1 + 0x3p-8, -1 - 0x1p-8, 1 + 0x1.01p-8, 1 + 0x0.ffp-8, 1 + 0x1.01p-9, 1 + 0x1.03p-9,
    ]
    for (name, kernels) in elementwiseTables(Float.self) {
      let memory = Memory(seed: 2)
      for deviation in [1, 1e-20, 1e-38, 1e-40, 1e30] { x += memory.normals(200, deviation: deviation) }
      let planes = read(kernels, plain(x, memory), 0, 1, x.count, memory, name)
      let wrong = wrong(planes, x)
      #expect(wrong.isEmpty, "\(name)")
      #expect(planes.hi[6] == 0x8000, "\(name): -0")
      #expect(planes.lo[0] & 0x7fff > 0x7f80, "\(name): the rest of NaN")
    }
  }

  /// What is not finite stays at its place, in a pending operand too.
  @Test func nonfiniteValuesComeOut() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      for channels in [37, 2060] {
        for position in [0, 20, channels - 1] {
          for bad in [Float16.nan, .infinity, -.infinity] {
            let memory = Memory(seed: 3)
            var x: [Float16] = memory.normals(channels, deviation: 0.1)
            x[position] = bad
            var operand = plain(x, memory)
            operand.reading = LINEUP_ACTIVATION
            operand.a = UnsafeRawPointer(memory.place([Float](repeating: 2, count: channels)))
            operand.b = UnsafeRawPointer(memory.place([Float](repeating: 1, count: channels)))
            let (hi, lo) = read(kernels, operand, 0, 1, channels, memory, name)
            let value = bfloat16(bits: hi[position])
            #expect(bad.isNaN ? value.isNaN : value == (bad < 0 ? 0 : .infinity), "\(name): \(bad) at \(position)")
            for i in 0..<channels where i != position {
              #expect(bfloat16(bits: hi[i]).isFinite && bfloat16(bits: lo[i]).isFinite)
            }
          }
        }
      }
    }
  }
}
