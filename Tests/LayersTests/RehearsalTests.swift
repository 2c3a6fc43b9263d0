import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// A rehearsal of a layer's passes allocates what the passes themselves do, and leaves no trace in gradients.
@Suite struct RehearsalTests {
  enum Pass { case plain, regularized }

  @Test(arguments: LayerCases.all, [Pass.plain, .regularized]) func asksForTheSameMemory(
    _ layer: any LayerCase, _ pass: Pass
  ) throws {
    try check(layer, pass)
  }

  private func check(_ layer: some LayerCase, _ pass: Pass) throws {
    let earnest = try passes(layer, pass, rehearsal: false), rehearsed = try passes(layer, pass, rehearsal: true)
    #expect(rehearsed.bytes == earnest.bytes, "\(layer.name)")
    #expect(rehearsed.gradients.allSatisfy { $0 == 0 }, "\(layer.name)")
  }

  private func passes(_ layer: some LayerCase, _ pass: Pass, rehearsal: Bool) throws -> (
    bytes: [Int], gradients: [Double]
  ) {
    let values = Values(layer, images: 3, seed: 17), built = layer.build(Float16.self)
    let context = Context<Float16>(
      workers: Workers(count: 1, rehearsal: rehearsal), communicator: SoloCommunicator(), arena: Arena(),
      kernels: Kernels(path: .blas))
    let parameters = Parameters<Float>(layout: built.layout, statistics: built.statistics)
    for (slot, list) in zip(built.layout.slots, values.parameters) {
      for (i, value) in zip(slot.range, list) { parameters.values[i] = Float(value) }
    }
    built.pack(parameters, context)
    func inputs(_ lists: [[Double]]) -> [Tensor<Float16>] {
      zip(layer.inputs, lists).map { tensor($1, Shape(3, $0.height, $0.width, $0.channels), context) }
    }
    let run = Run(context, parameters, .training(seed: 1, step: 1, firstRow: 0))
    let after = try built.run(inputs(values.inputs), run), yBar = values.cotangent(after.y.count)
    let gradients = ParameterGradients(count: built.layout.count)
    gradients.reset(scale: 1, Float.self)
    switch pass {
    case .plain: _ = try after.backward(yBar, .plain(gradients))
    case .regularized:
      _ = try after.backward(yBar, .recording(places: []))
      _ = try after.forwardTangent(inputs(values.tangents))
      _ = try after.backward(yBar, .regularized(gradients, tangentWeight: 0.5))
    }
    return ([context.arena.peakBytes, context.workers.scratchBytes], gradients.values.array)
  }
}
