import CKernels
import Tensors

/// Sizes of the numbers of a range.
package struct Magnitudes: Sendable {
  /// Σ|x|, Σx², max|x| (NaN if there is one), and how many are 0.
  package let sum: Double, squares: Double, largest: Double, zeros: Double
  /// Where the first of the largest (or of the NaN) stands.
  package let indexOfLargest: Int
}

/// Functions of ranges of numbers.
extension Kernels {
  package func magnitudes(_ x: UnsafePointer<E>, _ count: Int) -> Magnitudes {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 4) { found in
      let largest = elementwise.pointee.magnitudes(x, count, found.baseAddress!)
      return Magnitudes(
        sum: found[0], squares: found[1], largest: found[2], zeros: found[3], indexOfLargest: Int(largest))
    }
  }

  /// out = factor · x
  package func scale(_ x: UnsafePointer<E>, _ count: Int, by factor: Double, into out: UnsafeMutablePointer<E>) {
    elementwise.pointee.scale(x, count, factor, 0, out)
  }

  /// out = factor · sign(x)
  package func signs(_ x: UnsafePointer<E>, _ count: Int, times factor: Double, into out: UnsafeMutablePointer<E>) {
    elementwise.pointee.scale(x, count, factor, 1, out)
  }

  /// doubles = factor · x
  package func widen(
    _ x: UnsafePointer<E>, _ count: Int, by factor: Double = 1, into doubles: UnsafeMutablePointer<Double>
  ) {
    elementwise.pointee.to_doubles(x, count, factor, doubles)
  }

  /// x = factor · doubles, rounded once
  package func narrow(
    _ doubles: UnsafePointer<Double>, _ count: Int, by factor: Double = 1, into x: UnsafeMutablePointer<E>
  ) {
    elementwise.pointee.from_doubles(doubles, count, factor, x)
  }

  /// y += x, rounded to the grid that adding and subtracting `rounding` rounds to (0: as it is).
  package func add(_ x: UnsafePointer<A>, _ count: Int, rounding: Double, into y: UnsafeMutablePointer<Double>) {
    elementwise.pointee.add(x, count, rounding, y)
  }

  /// out = x / step, to the nearest whole number, modulo 2³²; step is a power of two, |x| below 2⁵¹ steps. Returns the largest
  /// |x| in steps, ∞ where one is not finite.
  package func toSteps(
    _ x: UnsafePointer<Double>, _ count: Int, step: Double, into out: UnsafeMutablePointer<Int32>
  ) -> Double {
    elementwise.pointee.to_steps(x, count, 1 / step, out)
  }

  /// out = step · x
  package func fromSteps(
    _ x: UnsafePointer<Int32>, _ count: Int, step: Double, into out: UnsafeMutablePointer<Double>
  ) {
    elementwise.pointee.from_steps(x, count, step, out)
  }

  /// How many are Inf or NaN.
  package func nonfinite(_ x: UnsafePointer<Double>, _ count: Int) -> Int { elementwise.pointee.nonfinite(x, count) }
}
