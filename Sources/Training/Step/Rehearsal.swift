import Dataset
import Kernels
import Layers
import Losses
import Network
import Tensors

/// A training step of one rank that allocates but computes nothing: the memory it needs and what it multiplies.
package struct Rehearsal: Sendable {
  package let memory: MemoryAccount
  /// Multiply-adds of convolutions and linear layers, by pass.
  package let multiplyAdds: [Work.Pass: Int]
  /// Those that are carried out: fewer with `precision.convolution: winograd`.
  package let performed: [Work.Pass: Int]
  /// Bytes that layers read and write, and beside them what the optimizer does.
  package let traffic: [Work.Traffic: Int]
  package let optimizerTraffic: Int
  /// Of what an evaluation keeps of each image.
  package let descriptorLength: Int
  package var totalTraffic: Int { traffic.values.reduce(0, +) + optimizerTraffic }
  package var totalMultiplyAdds: Int { multiplyAdds.values.reduce(0, +) }
  package var totalPerformed: Int { performed.values.reduce(0, +) }

  /// With `images` images on this rank, of so many, which share a sharded optimizer.
  package static func step<E: Element>(
    _: E.Type, images: Int, ranks: Int = 1, identities: Int, _ configuration: Configuration, _ machine: Machine
  ) throws -> Rehearsal {
    let rehearsal = machine.rehearsal
    let context = rehearsal.context(E.self, configuration)
    let network = ReIDNetwork<E>(Architecture(configuration.model, identities: identities))
    let parameters = Parameters<E.Accumulator>(layout: network.layout, statistics: network.statistics)
    let step = try TrainingStep(network, parameters, configuration, context)
    let height = configuration.input.height, width = configuration.input.width
    // Not written to, and so not in memory.
    let pixels = [UInt8](unsafeUninitializedCapacity: images * height * width * 3) { $1 = $0.count }
    _ = try step.differentiate(
      pixels, height: height, width: width,
      labels: RowLabels(identities: [Int](repeating: 0, count: images)), scale: 1)
    let activations = context.arena.peakBytes, work = rehearsal.workers.work
    let (multiplyAdds, performed, traffic) = (work.multiplyAdds, work.performed, work.bytes)
    let weights = network.keptBytes
    // Between steps, out of the same arena.
    network.pack(parameters, training: false, context)
    _ = try network.embed(
      context.tensor(Shape(configuration.evaluation.batch, height, width, 3)), parameters, context)
    let moments = step.optimizer.moments.count, averages = step.average == nil ? 0 : 1
    let shards = configuration.optimizer.sharded ? ranks : 1
    let memory = MemoryAccount(
      parameters: (1 + averages) * parameters.values.bytes + step.gradients.values.bytes
        + moments * ((parameters.values.bytes + shards - 1) / shards)
        + (1 + averages) * parameters.statistics.bytes + weights,
      activations: activations, evaluation: context.arena.peakBytes - activations,
      scratch: rehearsal.workers.scratchBytes + rehearsal.workers.count * work.heldBytes)
    // Masters, moments and the average are read and written, gradients read.
    let optimizer =
      ((2 + 2 * moments) * parameters.values.bytes + step.gradients.values.bytes) / shards
      + 2 * averages * parameters.values.bytes
    return Rehearsal(
      memory: memory, multiplyAdds: multiplyAdds, performed: performed, traffic: traffic, optimizerTraffic: optimizer,
      descriptorLength: network.descriptorLength)
  }
}

/// The memory of one rank, in bytes.
package struct MemoryAccount: Sendable {
  /// Masters, gradients, the optimizer's moments, the average, and what is kept of working weights.
  package let parameters: Int
  /// Activations, their gradients, and the working weights of the passes under way, at their peak.
  package let activations: Int
  /// What an evaluation takes beyond these.
  package let evaluation: Int
  /// The workers' scratch, and what their loops allocate while they run.
  package let scratch: Int

  package init(parameters: Int, activations: Int, evaluation: Int, scratch: Int) {
    self.parameters = parameters
    self.activations = activations
    self.evaluation = evaluation
    self.scratch = scratch
  }

  package var total: Int { parameters + activations + evaluation + scratch }

  package var summary: String {
    "\(Self.format(total)) a rank: parameters and moments \(Self.format(parameters)), "
      + "activations \(Self.format(activations)), evaluation \(Self.format(evaluation)) more, scratch \(Self.format(scratch))"
  }

  package static func format(_ bytes: Int) -> String {
    let mebibytes = Double(bytes) / 1_048_576
    return mebibytes < 1000 ? "\(Int(mebibytes.rounded(.up))) MiB" : "\((mebibytes / 102.4).rounded() / 10) GiB"
  }
}
