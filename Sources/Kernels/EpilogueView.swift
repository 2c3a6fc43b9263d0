import CKernels
import Tensors

/// What becomes of a row of accumulators: v = gate(acc + bias + addend), rounded, stored, summed; by pointers that have to
/// outlive it.
package struct EpilogueView<E: Element> {
  package typealias Values = UnsafePointer<E>
  package typealias Coefficients = UnsafePointer<E.Accumulator>

  /// Where v is kept; elsewhere it is 0.
  package enum Gate {
    case open
    /// Where these values are positive.
    case positive(Values)
    /// Where scale·z + shift > 0; `imageStride` from one image's coefficients to the next one's, 0 where all share them.
    case activation(z: Values, scale: Coefficients, shift: Coefficients, imageStride: Int)
  }

  /// What v is multiplied by in a sum: z − mean, or z.
  package struct Factor {
    let z: Values, mean: Coefficients?, imageStride: Int

    package init(_ z: Values, mean: Coefficients? = nil, imageStride: Int = 0) {
      (self.z, self.mean, self.imageStride) = (z, mean, imageStride)
    }
  }

  /// What is summed, channel by channel.
  package enum Summed {
    case none
    /// Σv, Σv²
    case forward
    /// Σv, and Σv·factor of one factor or two
    case backward(Factor, Factor?)
  }

  let pointers: EpiloguePointers

  /// `addend` is of the output's shape, or smaller: which of its pixels belongs to which is said when rows are stored.
  package init(
    out: UnsafeMutablePointer<E>, bias: Coefficients?, addend: Values?, gate: Gate, sums: Summed
  ) {
    var epilogue = lineup_epilogue(), gateStride = 0, meanStrides = (0, 0)
    let size = MemoryLayout<E.Accumulator>.size
    epilogue.out = UnsafeMutableRawPointer(out)
    epilogue.bias = UnsafeRawPointer(bias)
    epilogue.addend = UnsafeRawPointer(addend)
    switch gate {
    case .open: break
    case .positive(let values): epilogue.gate = UnsafeRawPointer(values)
    case .activation(let z, let scale, let shift, let imageStride):
      epilogue.gate = UnsafeRawPointer(z)
      (epilogue.gate_scale, epilogue.gate_shift) = (UnsafeRawPointer(scale), UnsafeRawPointer(shift))
      gateStride = imageStride * size
    }
    switch sums {
    case .none: epilogue.sums = LINEUP_NO_SUMS
    case .forward: epilogue.sums = LINEUP_FORWARD_SUMS
    case .backward(let first, let second):
      epilogue.sums = LINEUP_BACKWARD_SUMS
      (epilogue.z1, epilogue.mean1) = (UnsafeRawPointer(first.z), UnsafeRawPointer(first.mean))
      meanStrides.0 = first.imageStride * size
      if let second {
        (epilogue.z2, epilogue.mean2) = (UnsafeRawPointer(second.z), UnsafeRawPointer(second.mean))
        meanStrides.1 = second.imageStride * size
      }
    }
    pointers = EpiloguePointers(epilogue: epilogue, gateStride: gateStride, meanStrides: meanStrides)
  }

  package var takesSums: Bool { pointers.epilogue.sums != LINEUP_NO_SUMS }
}

/// An epilogue without its type.
struct EpiloguePointers {
  let epilogue: lineup_epilogue
  /// Bytes from one image's coefficients to the next one's.
  let gateStride: Int, meanStrides: (Int, Int)

  /// body(the epilogue as the C kernels take it, with the coefficients of `image`)
  func withImage<T>(_ image: Int, _ body: (UnsafePointer<lineup_epilogue>) -> T) -> T {
    guard gateStride != 0 || meanStrides != (0, 0) else { return withUnsafePointer(to: epilogue, body) }
    var own = epilogue
    own.gate_scale = own.gate_scale.map { $0 + image * gateStride }
    own.gate_shift = own.gate_shift.map { $0 + image * gateStride }
    own.mean1 = own.mean1.map { $0 + image * meanStrides.0 }
    own.mean2 = own.mean2.map { $0 + image * meanStrides.1 }
    return withUnsafePointer(to: own, body)
  }
}
