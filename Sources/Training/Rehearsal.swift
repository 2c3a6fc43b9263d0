import Dataset
import Kernels
import Layers
import Network
import Tensors

/// A training step of one rank that allocates but computes nothing: the memory it needs and what it multiplies.
package struct Rehearsal: Sendable {
  package let memory: MemoryAccount
  /// Multiply-adds of convolutions and linear layers, by pass.
  package let multiplyAdds: [Work.Pass: Int]
  package var totalMultiplyAdds: Int { multiplyAdds.values.reduce(0, +) }

  /// With `images` images on this rank.
  package static func step<E: Element>(
    _: E.Type, images: Int, identities: Int, _ configuration: Configuration, _ machine: Machine
  ) throws -> Rehearsal {
    let rehearsal = machine.rehearsal
    let context = rehearsal.context(E.self, configuration)
    let network = ReIDNetwork<E>(Architecture(configuration.model, identities: identities))
    let parameters = Parameters<E.Accumulator>(layout: network.layout, statistics: network.statistics)
    let step = TrainingStep(network, parameters, configuration, context)
    let height = configuration.input.height, width = configuration.input.width
    _ = try step.differentiate(
      [UInt8](repeating: 0, count: images * height * width * 3), height: height, width: width,
      labels: [Int](repeating: 0, count: images), scale: 1)
    let memory = MemoryAccount(
      parameters: 3 * parameters.values.bytes + step.gradients.values.bytes + parameters.statistics.bytes,
      workingWeights: network.packedBytes, activations: context.arena.peakBytes, scratch: rehearsal.workers.scratchBytes
    )
    return Rehearsal(memory: memory, multiplyAdds: rehearsal.workers.work.multiplyAdds)
  }
}
