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

  /// How many are Inf or NaN.
  package func nonfinite(_ x: UnsafePointer<Double>, _ count: Int) -> Int { elementwise.pointee.nonfinite(x, count) }
}

/// One update of Adam (Kingma and Ba, 2015) with its bias corrections worked in.
package struct AdamUpdate: Sendable {
  /// Gradients are multiplied by it.
  package let scale: Double
  /// L2: g ← scale·g + decay·w. Decoupled: w ← (1 − shrink)·w.
  package let decay: Double, shrink: Double
  package let beta1: Double, beta2: Double
  /// w ← w − rate · m / (√v · root + epsilon), rate = learning rate / (1 − β₁ᵗ), root = 1/√(1 − β₂ᵗ)
  package let rate: Double, root: Double, epsilon: Double

  package init(
    scale: Double, decay: Double, shrink: Double, beta1: Double, beta2: Double, rate: Double, root: Double,
    epsilon: Double
  ) {
    (self.scale, self.decay, self.shrink) = (scale, decay, shrink)
    (self.beta1, self.beta2, self.rate, self.root, self.epsilon) = (beta1, beta2, rate, root, epsilon)
  }
}

extension Kernels where E.Accumulator == E {
  /// Parameters w, their moments m and v, from gradients g.
  package func adam(
    _ w: UnsafeMutablePointer<E>, _ g: UnsafePointer<Double>, m: UnsafeMutablePointer<E>, v: UnsafeMutablePointer<E>,
    _ count: Int, _ u: AdamUpdate
  ) {
    elementwise.pointee.adam(
      w, g, m, v, count, u.scale, u.decay, u.shrink, u.beta1, u.beta2, u.rate, u.root, u.epsilon)
  }
}
