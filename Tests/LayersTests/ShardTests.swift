import Collectives
import Kernels
import Tensors
import Testing

/// Uneven shards over several ranks, an empty one among them, equal one rank with the whole batch.
@Suite struct ShardTests {
  private static let shares = [[2, 3], [2, 0, 3], [1, 1, 0, 3]]

  private func sharded<E: Element>(
    _ layer: some LayerCase, _: E.Type, _ values: Values, _ counts: [Int], path: KernelPath
  ) throws -> Outcome {
    let parts = try ThreadCommunicator.run(counts.count) { communicator in
      let first = counts[..<communicator.rank].reduce(0, +)
      return try outcome(
        layer, E.self, values, images: first..<first + counts[communicator.rank], path: path,
        threads: 1 + communicator.rank % 2,
        communicator)
    }
    var whole = Outcome(
      y: parts.flatMap(\.y), inputs: layer.inputs.indices.map { i in parts.flatMap { $0.inputs[i] } },
      parameters: parts[0].parameters)
    for part in parts.dropFirst() {
      for (slot, gradient) in part.parameters.enumerated() {
        for (i, value) in gradient.enumerated() { whole.parameters[slot][i] += value }
      }
    }
    return whole
  }

  @Test(arguments: LayerCases.all) func float64(_ layer: any LayerCase) throws { try checkDouble(layer) }

  private func checkDouble(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 5)
    let one = try outcome(layer, Double.self, values)
    for counts in Self.shares {
      let many = try sharded(layer, Double.self, values, counts, path: .blas)
      #expect(relativeError(many.y, one.y) < 1e-12, "\(layer.name) y over \(counts)")
      for (i, gradient) in many.inputs.enumerated() {
        #expect(relativeError(gradient, one.inputs[i]) < 1e-12, "\(layer.name) input \(i) over \(counts)")
      }
      let error = relativeError(many.parameters.flatMap { $0 }, one.parameters.flatMap { $0 })
      #expect(error < 1e-12, "\(layer.name) parameters over \(counts)")
    }
  }

  @Test(arguments: LayerCases.all) func float32(_ layer: any LayerCase) throws {
    try checkNarrow(layer, Float.self, 1e-5)
  }
  @Test(arguments: LayerCases.all) func float16(_ layer: any LayerCase) throws {
    try checkNarrow(layer, Float16.self, 1e-4)
  }

  /// Activations to the last bit: then no gate flips. Gradients of inputs may differ where a coefficient was
  /// rounded the other way, those of parameters because partial sums are rounded.
  private func checkNarrow<E: Element>(_ layer: some LayerCase, _: E.Type, _ tolerance: Double) throws {
    let values = Values(layer, images: 5)
    for path in KernelPath.available {
      let one = try outcome(layer, E.self, values, path: path)
      for counts in Self.shares {
        let many = try sharded(layer, E.self, values, counts, path: path)
        #expect(many.y == one.y, "\(layer.name) y on \(path) over \(counts)")
        for (i, gradient) in many.inputs.enumerated() {
          #expect(
            relativeError(gradient, one.inputs[i]) < tolerance, "\(layer.name) input \(i) on \(path) over \(counts)")
        }
        let error = relativeError(many.parameters.flatMap { $0 }, one.parameters.flatMap { $0 })
        #expect(error < tolerance, "\(layer.name) parameters on \(path) over \(counts)")
      }
    }
  }

  /// Threads change neither the outputs nor the gradients of the inputs.
  @Test(arguments: LayerCases.all) func threads(_ layer: any LayerCase) throws { try checkThreads(layer) }

  private func checkThreads(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 5)
    for path in KernelPath.available {
      let one = try outcome(layer, Float16.self, values, path: path)
      let three = try outcome(layer, Float16.self, values, path: path, threads: 3)
      #expect(three.y == one.y && three.inputs == one.inputs, "\(layer.name) on \(path)")
      let again = try outcome(layer, Float16.self, values, path: path, threads: 3)
      #expect(again.parameters == three.parameters, "\(layer.name) on \(path): not a matter of timing")
    }
  }
}
