import Kernels
import Tensors

/// How large the gradient of each tensor was in the last step: what the steps of `communication.wire: int32` follow from.
///
/// With the largest magnitude m of the unscaled gradient of a tensor in [2ᵉ, 2ᵉ⁺¹) the next one is rounded, group of images by
/// group, to multiples of 2^(e − 23), and at least of `ParameterGradients.quantum`: to 24 bits of m, with room in 31 bits for
/// sums of 128 m. As a sum over all ranks, e is the same for any number of them, and so is all that follows from it.
package struct GradientMagnitudes: Codable, Sendable, Equatable {
  /// e of each tensor in the order of the layout; nil where there was no gradient yet but zeros.
  package private(set) var exponents: [Int?]

  /// Before the first step.
  package init(tensors: Int) { exponents = Array(repeating: nil, count: tensors) }

  /// The steps for gradients of `scale` times the loss.
  package func steps(_ layout: ParameterLayout, scale: Double) -> [(range: Range<Int>, step: Double)] {
    zip(layout.slots, exponents).map { slot, exponent in
      let step = exponent.map { Double(sign: .plus, exponent: $0 - 23, significand: 1) } ?? 0
      return (slot.range, max(step, ParameterGradients.quantum) * scale)
    }
  }

  /// Takes note of the largest magnitudes of the sums over all ranks; a tensor with an Inf or NaN is left as it was.
  /// - Parameter largest: of each tensor, unscaled.
  package mutating func observe(_ largest: [Double]) {
    for index in largest.indices where largest[index].isFinite {
      exponents[index] = largest[index] == 0 ? nil : Int(largest[index].exponent)
    }
  }

  /// Of each tensor the largest magnitude in these parts of the layout, ascending; ∞ where one is none.
  package static func largest(
    _ gradients: ParameterGradients, _ layout: ParameterLayout, _ parts: [Range<Int>], scale: Double,
    _ workers: Workers,
    _ path: KernelPath = .blas
  ) -> [Double] {
    let found = Buffer<Double>(count: layout.slots.count), kernels = Kernels<Double>(path: path)
    workers.parallelFor(layout.slots.count) { index, _ in
      let range = layout.slots[index].range
      for part in parts where part.overlaps(range) {
        let part = part.clamped(to: range)
        let largest = kernels.magnitudes(gradients.values.pointer + part.lowerBound, part.count).largest / scale
        found[index] = max(found[index], largest.isFinite ? largest : .infinity)
      }
    }
    return Array(found.span)
  }
}
