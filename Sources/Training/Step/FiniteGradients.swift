import CKernels
import Kernels
import Layers
import Synchronization
import Tensors

extension ParameterGradients {
  /// The first tensor with an Inf or NaN, or nil. The same on every rank where gradients are.
  func nonfinite<A: Element>(_ layout: ParameterLayout, _ context: Context<A>) -> String? where A.Accumulator == A {
    let count = context.kernels.elementwise.nonfinite!
    let first = Atomic<Int>(layout.slots.count)
    context.workers.parallelFor(layout.slots.count) { index, _ in
      let slot = layout.slots[index]
      if count(self.values.pointer + slot.range.lowerBound, slot.count) > 0 {
        first.min(index, ordering: .relaxed)
      }
    }
    let index = first.load(ordering: .relaxed)
    return index < layout.slots.count ? layout.slots[index].name : nil
  }
}
