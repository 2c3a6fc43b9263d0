import CKernels
import Collectives
import Kernels
import Layers
import Synchronization
import Tensors

/// What the ranks do with their parameter gradients after backward: add them up, and agree whether they are finite.
package enum GradientReduction {
  /// Sums `gradients` over ranks, in place.
  package static func reduce(_ gradients: ParameterGradients, _ communicator: any Communicator) throws {
    guard communicator.size > 1 else { return }
    try communicator.sum(gradients.values.span)
  }

  /// The first tensor with an Inf or NaN, or nil. The same on every rank, after `reduce`.
  package static func nonfinite<A: Element>(
    _ gradients: ParameterGradients, _ layout: ParameterLayout, _ context: Context<A>
  )
    -> String?
  where A.Accumulator == A {
    let count = context.kernels.elementwise.nonfinite!
    let first = Atomic<Int>(layout.slots.count)
    context.workers.parallelFor(layout.slots.count) { index, _ in
      let slot = layout.slots[index]
      if count(gradients.values.pointer + slot.range.lowerBound, slot.count) > 0 {
        first.min(index, ordering: .relaxed)
      }
    }
    let index = first.load(ordering: .relaxed)
    return index < layout.slots.count ? layout.slots[index].name : nil
  }
}
