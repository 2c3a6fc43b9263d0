import Tensors

/// Between accumulators of either size and float64, without generic arithmetic in the loop.

enum SumConversion {
  /// `count` accumulators → float64.
  static func widen<A: Element>(_ values: UnsafePointer<A>, count: Int, to doubles: UnsafeMutablePointer<Double>) {
    let values = UnsafeRawPointer(values)
    if A.precision == .float32 {
      let values = values.assumingMemoryBound(to: Float.self)
      for i in 0..<count { doubles[i] = Double(values[i]) }
    } else {
      precondition(A.precision == .float64)
      doubles.update(from: values.assumingMemoryBound(to: Double.self), count: count)
    }
  }

  /// `count` float64 → accumulators, rounded once.
  static func narrow<A: Element>(_ doubles: UnsafePointer<Double>, count: Int, to values: UnsafeMutablePointer<A>) {
    let values = UnsafeMutableRawPointer(values)
    if A.precision == .float32 {
      let values = values.assumingMemoryBound(to: Float.self)
      for i in 0..<count { values[i] = Float(doubles[i]) }
    } else {
      precondition(A.precision == .float64)
      values.assumingMemoryBound(to: Double.self).update(from: doubles, count: count)
    }
  }

  /// Adding and subtracting this rounds the partial sums of a tensor's statistics to a grid on which they add up without
  /// rounding, so that neither threads nor ranks change a bit of them; 0 in float64, where nothing is to be lost.
  ///
  /// Forward, the grid is 2⁻³⁶ of a sum over one image: next to ε = 10⁻⁵ it does not show. Backward it is that of
  /// `ParameterGradients`, coarser for float16, whose gradients carry the loss scale.
  static func rounding<E: Element>(_: E.Type, area: Int, forward: Bool) -> Double {
    switch E.precision {
    case .float64: 0
    case .float32, .float16:
      0x1.8p52 * (forward ? 0x1p-36 * Double(area).binade : E.precision == .float16 ? 0x1p-24 : 0x1p-36)
    }
  }

  /// Σ of `parts` rows of `count` float64 in `partial`, on the grid of `rounding`; as many consecutive rows in each of `sets`.
  static func totals(_ partial: Buffer<Double>, parts: Int, sets: Int = 1, count: Int, rounding: Double) -> [Double] {
    withExtendedLifetime(partial) {
      totals(partial.pointer, parts: parts, sets: sets, count: count, rounding: rounding)
    }
  }

  static func totals(_ partial: UnsafePointer<Double>, parts: Int, sets: Int = 1, count: Int, rounding: Double)
    -> [Double]
  {
    precondition(parts % sets == 0)
    var sums = [Double](repeating: 0, count: sets * count)
    sums.withUnsafeMutableBufferPointer { sums in
      for part in 0..<parts {
        let row = partial + part * count, sum = sums.baseAddress! + part / (parts / sets) * count
        for i in 0..<count { sum[i] += (row[i] + rounding) - rounding }
      }
    }
    return sums
  }
}
