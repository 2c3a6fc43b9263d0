import CKernels
import Tensors

/// Memory of generated values that lives until the end of a test.
final class Memory {
  private var random: CounterRandom
  private var owned: [UnsafeMutableRawPointer] = []

  init(seed: UInt64) { random = CounterRandom(seed: seed, purpose: .probing) }

  deinit { for pointer in owned { pointer.deallocate() } }

  func integer(below bound: Int) -> Int { random.integer(below: bound) }

  /// Normal deviates, rounded to `T`.
  func normals<T: Element>(_ count: Int, deviation: Double = 1, _: T.Type = T.self) -> [T] {
    (0..<count).map { _ in T(deviation * random.normal()) }
  }

  /// A copy at an address that is aligned to the element only, followed by `slack` elements of `filler`.
  func place<T: BitwiseCopyable>(_ values: [T], slack: Int = 0, filler: T? = nil) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: values.count + slack + 1)
    owned.append(UnsafeMutableRawPointer(pointer))
    (pointer + 1).initialize(from: values, count: values.count)
    if slack > 0 { (pointer + 1 + values.count).initialize(repeating: filler!, count: slack) }
    return pointer + 1
  }

  func normal<T: Element>(_ count: Int, deviation: Double = 1) -> UnsafeMutablePointer<T> {
    place(normals(count, deviation: deviation))
  }
}

/// The elementwise kernels of every instruction set that this CPU has.
func elementwiseTables<E: Element>(_: E.Type) -> [(name: String, kernels: lineup_elementwise)] {
  let precision =
    switch E.precision {
    case .float16: LINEUP_FLOAT16
    case .float32: LINEUP_FLOAT32
    case .float64: LINEUP_FLOAT64
    }
  let all = [(LINEUP_BASELINE, "baseline"), (LINEUP_AVX2, "avx2"), (LINEUP_AVX512, "avx512")]
  return all.filter { $0.0.rawValue <= lineup_best_instructions().rawValue }
    .map { ("\($0.1) \(E.precision.rawValue)", lineup_elementwise_kernels(precision, $0.0).pointee) }
}

/// The places where values differ from a float64 reference by more than rounding: that of `T` itself and `steps`
/// roundings of its accumulator at `magnitudes` (the sums of the terms' absolute values). Empty if none does.
func disagreements<T: Element>(
  _ actual: [T], _ expected: [Double], magnitudes: [Double]? = nil, steps: Double = 4
) -> [String] {
  guard actual.count == expected.count else { return ["\(actual.count) values instead of \(expected.count)"] }
  let stored = Double(T.ulpOfOne) * 0.51
  let summed = Double(T.Accumulator.ulpOfOne) * steps
  let tiny = Double(T.leastNonzeroMagnitude)
  var wrong: [String] = []
  for (i, (a, e)) in zip(actual, expected).enumerated() {
    let value = Double(a)
    if value.isNaN && e.isNaN || value == e { continue }
    let tolerance = stored * abs(e) + summed * (magnitudes?[i] ?? abs(e)) + tiny
    if !(abs(value - e) <= tolerance) { wrong.append("[\(i)] \(value) instead of \(e)") }
  }
  return Array(wrong.prefix(5))
}

/// The nearest bfloat16 (8 significant bits, ties to even; subnormal ones too), by arithmetic.
func bfloat16(_ x: Double) -> Double {
  guard x != 0, x.isFinite else { return x }
  let unit = Double(sign: .plus, exponent: max(x.exponent, -126) - 7, significand: 1)
  let rounded = (x / unit).rounded(.toNearestOrEven) * unit
  return abs(rounded) < 0x1p128 ? rounded : rounded.sign == .minus ? -.infinity : .infinity
}

/// The bits of a bfloat16, and back.
func bits(_ bfloat16: Double) -> UInt16 { UInt16(Float(bfloat16).bitPattern >> 16) }
func bfloat16(bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }

extension UnsafeMutablePointer {
  func array(_ count: Int) -> [Pointee] { Array(UnsafeBufferPointer(start: self, count: count)) }
}
