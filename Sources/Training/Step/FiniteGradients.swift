import Kernels
import Layers
import Network
import Storage
import Synchronization
import Tensors

extension ParameterGradients {
  /// The first tensor with an Inf or NaN, or nil. The same on every rank where gradients are.
  func nonfinite<A: Element>(_ layout: ParameterLayout, _ context: Context<A>) -> String? where A.Accumulator == A {
    let kernels = context.kernels
    let first = Atomic<Int>(layout.slots.count)
    context.workers.parallelFor(layout.slots.count) { index, _ in
      let slot = layout.slots[index]
      if kernels.nonfinite(self.values.pointer + slot.range.lowerBound, slot.count) > 0 {
        first.min(index, ordering: .relaxed)
      }
    }
    let index = first.load(ordering: .relaxed)
    return index < layout.slots.count ? layout.slots[index].name : nil
  }
}

extension TrainingStep {
  /// The first tensor with an Inf or NaN among all that a checkpoint holds, or nil.
  package func nonfinite() -> String? {
    let layout = network.layout
    var all: [(layout: ParameterLayout, values: Buffer<A>, prefix: String)] = [
      (layout, parameters.values, ""), (network.statistics, parameters.statistics, ""), (layout, adam.m, "m."),
      (layout, adam.v, "v."),
    ]
    if let penalty {
      let strengths = penalty.adaptive.layout
      all += [
        (strengths, penalty.adaptive.values, ""), (strengths, penalty.adam.m, "m."), (strengths, penalty.adam.v, "v."),
      ]
    }
    return firstNonfinite(all)
  }

  /// Where a loss that is not finite comes from: parameters, running statistics, or what the network made of them.
  func firstNonfinite(in result: Differentiated<A>) -> String? {
    firstNonfinite([(network.layout, parameters.values, ""), (network.statistics, parameters.statistics, "")])
      ?? (result.outputs.contains { !$0.embedding.array.allSatisfy(\.isFinite) }
        ? "the embedding"
        : result.outputs.contains { !$0.logits.array.allSatisfy(\.isFinite) } ? "the logits" : "the loss")
  }

  /// Of the masters and what goes with them: equal on ranks that go on as one.
  package func digest() throws -> String {
    let hash = try SHA256()
    for buffer in [parameters.values, parameters.statistics, adam.m, adam.v] {
      hash.update(UnsafeRawBufferPointer(buffer.span))
    }
    return hash.finish()
  }

  private func firstNonfinite(_ all: [(layout: ParameterLayout, values: Buffer<A>, prefix: String)]) -> String? {
    for (layout, values, prefix) in all {
      if let slot = layout.slots.first(where: { !isFinite(values, $0.range) }) { return prefix + slot.name }
    }
    return nil
  }

  private func isFinite(_ buffer: Buffer<A>, _ range: Range<Int>) -> Bool {
    // Over plain machine numbers: a generic loop takes ten times as long.
    if let buffer = buffer as? Buffer<Float> { return buffer.span[range].allSatisfy(\.isFinite) }
    if let buffer = buffer as? Buffer<Double> { return buffer.span[range].allSatisfy(\.isFinite) }
    return buffer.span[range].allSatisfy(\.isFinite)
  }
}
