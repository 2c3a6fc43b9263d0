import Tensors

/// Between accumulators of either size and float64, without generic arithmetic in the loop.

enum SumConversion {
  /// `count` accumulators of `size` bytes → float64.
  static func widen(_ values: UnsafeRawPointer, size: Int, count: Int, to doubles: UnsafeMutablePointer<Double>) {
    if size == MemoryLayout<Float>.size {
      let values = values.assumingMemoryBound(to: Float.self)
      for i in 0..<count { doubles[i] = Double(values[i]) }
    } else {
      doubles.update(from: values.assumingMemoryBound(to: Double.self), count: count)
    }
  }

  /// `count` float64 → accumulators of `size` bytes, rounded once.
  static func narrow(_ doubles: UnsafePointer<Double>, count: Int, to values: UnsafeMutableRawPointer, size: Int) {
    if size == MemoryLayout<Float>.size {
      let values = values.assumingMemoryBound(to: Float.self)
      for i in 0..<count { values[i] = Float(doubles[i]) }
    } else {
      values.assumingMemoryBound(to: Double.self).update(from: doubles, count: count)
    }
  }

  /// Σ of `parts` rows of `count` float64 in `partial`, added in order.
  static func total(_ partial: Buffer<Double>, parts: Int, count: Int) -> [Double] {
    var sums = [Double](repeating: 0, count: count)
    sums.withUnsafeMutableBufferPointer { sums in
      for part in 0..<parts {
        let row = partial.pointer + part * count
        for i in 0..<count { sums[i] += row[i] }
      }
    }
    return sums
  }
}
