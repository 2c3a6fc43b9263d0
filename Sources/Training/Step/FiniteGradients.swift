import Kernels
import Layers
import Network
import Storage
import Synchronization
import Tensors

extension ParameterGradients {
  /// The first tensor with an Inf or NaN, or nil. The same on every rank where gradients are.
  func nonfinite<A: Element>(_ layout: ParameterLayout, _ context: Context<A>) -> String? where A.Accumulator == A {
    firstNonfinite(layout, ParameterShards([0..<layout.count]), context).map { layout.slots[$0].name }
  }

  /// The index of the first tensor with one in these parts.
  func firstNonfinite<A: Element>(
    _ layout: ParameterLayout, _ shards: ParameterShards, _ context: Context<A>
  ) -> Int? where A.Accumulator == A {
    let kernels = context.kernels, count = layout.slots.count, first = Atomic<Int>(count)
    context.workers.parallelFor(count) { index, _ in
      for (range, _) in shards.parts(of: layout.slots[index].range)
      where kernels.nonfinite(self.values.pointer + range.lowerBound, range.count) > 0 {
        first.min(index, ordering: .relaxed)
      }
    }
    let index = first.load(ordering: .relaxed)
    return index < count ? index : nil
  }

  /// The Euclidean norm of those of `slots`, summed tensor by tensor in their order: the same on any number of threads, and on
  /// every rank where gradients are.
  func norm(_ slots: [ParameterLayout.Slot], _ workers: Workers) -> Double {
    let kernels = Kernels<Double>(path: .blas), squares = Buffer<Double>(count: slots.count)
    workers.parallelFor(slots.count) { index, _ in
      let range = slots[index].range
      squares[index] = kernels.magnitudes(self.values.pointer + range.lowerBound, range.count).squares
    }
    return squares.span.reduce(0, +).squareRoot()
  }
}

extension TrainingStep {
  /// The first tensor with an Inf or NaN among all that a checkpoint holds, or nil; with a sharded optimizer, of whose moments a
  /// rank has a part, after `settle`.
  package func nonfinite() -> String? {
    let layout = network.layout
    var all: [(layout: ParameterLayout, values: Buffer<A>, prefix: String)] = [
      (layout, parameters.values, ""), (network.statistics, parameters.statistics, ""),
    ]
    for (prefix, values) in optimizer.moments {
      for slot in layout.slots {
        for (range, start) in optimizer.shards.parts(of: slot.range)
        where !isFinite(values, start..<start + range.count) { return prefix + slot.name }
      }
    }
    if let penalty {
      let strengths = penalty.adaptive.layout
      all.append((strengths, penalty.adaptive.values, ""))
      all += penalty.optimizer.moments.map { (strengths, $0.values, $0.prefix) }
    }
    if let average { all.append((layout, average.parameters.values, "the average of ")) }
    return firstNonfinite(all)
  }

  /// Where a loss that is not finite comes from: parameters, running statistics, or what the network made of them.
  func firstNonfinite(in result: Differentiated<A>) -> String? {
    firstNonfinite([(network.layout, parameters.values, ""), (network.statistics, parameters.statistics, "")])
      ?? (result.outputs.contains { !$0.embedding.array.allSatisfy(\.isFinite) }
        ? "the embedding"
        : result.outputs.contains { !$0.logits.array.allSatisfy(\.isFinite) } ? "the logits" : "the loss")
  }

  /// Of the masters and what goes with them, but for moments that a rank has alone: equal on ranks that go on as one.
  package func digest() throws -> String {
    let hash = try SHA256(), moments = isSharded ? [] : optimizer.moments.map(\.values)
    for buffer in [parameters.values, parameters.statistics] + moments {
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
