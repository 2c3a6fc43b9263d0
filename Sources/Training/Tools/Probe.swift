import Collectives
import Dataset
import Kernels
import Layers
import Losses
import Network
import Storage
import Tensors

/// One step on exactly these images, without augmentation and without an update: what `lineup probe` writes for
/// comparison with other implementations and other numbers of ranks.
package enum Probe {
  /// `weights` are those of `checkpoint`, if there is one, whose classes and strengths of adaptive L2 are taken too; without
  /// one, identities are classes in ascending order. `samples` in this order are the global batch, of which each rank takes a contiguous share. Rank 0 writes `output`.
  package static func run<E: Element>(
    _: E.Type, weights: SafetensorsFile, checkpoint: Checkpoint? = nil, samples: [Sample], output: String,
    _ configuration: Configuration, _ machine: Machine
  ) throws {
    // Every rank is to have all gradients.
    var configuration = configuration
    configuration.optimizer.sharded = false
    let communicator = machine.communicator
    let (network, parameters, context) = try communicator.agree {
      () throws -> (ReIDNetwork<E>, Parameters<E.Accumulator>, Context<E>) in
      guard samples.count >= communicator.size else {
        throw Failure.usage("\(communicator.size) ranks for \(samples.count) images: each rank needs at least one")
      }
      let identities = Sample.classes(of: samples).count
      if let checkpoint, let stranger = samples.first(where: { !checkpoint.state.identities.contains($0.identity) }) {
        throw Failure.data(
          stranger.path, "identity \(stranger.identity) is not one that \(checkpoint.folder) was trained on")
      }
      let classes = weights.contains("classifier.weight") ? try weights.shape("classifier.weight")[0] : identities
      guard classes >= identities else {
        throw Failure.data(weights.path, "the classifier has \(classes) identities, the images \(identities)")
      }
      let context = machine.context(E.self, configuration)
      let cameras = checkpoint?.state.cameras?.count ?? Sample.cameraClasses(of: samples).count
      try configuration.model.requireGroups(identities: classes, cameras: cameras)
      let network = ReIDNetwork<E>(Architecture(configuration.model, identities: classes, cameras: cameras))
      let parameters = Parameters<E.Accumulator>(layout: network.layout, statistics: network.statistics)
      try WeightsFile.loadAll(weights, into: network, parameters)
      return (network, parameters, context)
    }
    let step = try TrainingStep(network, parameters, configuration, context)
    try communicator.agree { try checkpoint?.restorePenalty(into: step) }
    let own = Share.batch(samples.count, communicator)
    let pixels = try communicator.agree { try Transforms(configuration).evaluation(of: samples[own]) }
    let trained = checkpoint.map { Dictionary(uniqueKeysWithValues: zip($0.state.identities, 0...)) }
    let classes = trained ?? Sample.classes(of: samples), labels = samples[own].map { classes[$0.identity]! }
    let cameras = Sample.cameraClasses(of: samples)
    let height = configuration.input.height, width = configuration.input.width
    // Training would skip the steps that overflow float16 and halve the scale; here that is one loop.
    func differentiate() throws -> Differentiated<E.Accumulator> {
      try step.differentiate(
        pixels, height: height, width: width,
        labels: RowLabels(identities: labels, cameras: samples[own].map { cameras[$0.camera] ?? 0 }),
        scale: step.lossScale.scale)
    }
    func overflows(_ result: Differentiated<E.Accumulator>) -> Bool {
      result.overflowed || !result.loss.total.isFinite
        || step.gradients.nonfinite(step.network.layout, context.accumulating) != nil
    }
    var result = try differentiate()
    while overflows(result), result.loss.termsAreFinite, step.lossScale.halve() { result = try differentiate() }
    let scale = step.lossScale.scale
    let outputs = try result.outputs.enumerated().flatMap { index, output in
      try [("embedding", output.embedding), ("logits", output.logits)].map { name, rows in
        let all = Array(try communicator.allgather(rows.array).joined())
        return tensor(index == 0 ? name : "\(name).\(index)", [samples.count, rows.shape.channels], all)
      }
    }
    try communicator.agree {
      guard communicator.isCoordinator else { return }
      let gradients = Buffer<E.Accumulator>(count: step.network.layout.count)
      for i in 0..<gradients.count { gradients[i] = E.Accumulator(step.gradients[i] / scale) }
      let loss = result.loss
      var tensors = outputs + [tensor("loss.total", [1], [loss.total]), tensor("loss.msgr", [1], [loss.msgr ?? 0])]
      tensors += loss.terms.map { tensor("loss.\($0.name)", [1], [$0.value]) }
      if let norms = loss.normLoss { tensors.append(tensor("loss.normLoss", [1], [norms])) }
      if let penalty = step.penalty?.adaptive {
        tensors.append(tensor("loss.adaptiveL2", [1], [loss.adaptiveL2 ?? 0]))
        let strengths = Buffer<E.Accumulator>(count: penalty.layout.count)
        for i in 0..<strengths.count { strengths[i] = E.Accumulator(penalty.gradients[i] / scale) }
        tensors += WeightsFile.tensors(penalty.layout, strengths, prefix: "gradient.")
      }
      try SafetensorsWriter.write(
        tensors + WeightsFile.tensors(step.network.layout, gradients, prefix: "gradient."),
        metadata: ["storage": configuration.precision.storage.rawValue, "ranks": "\(communicator.size)"], to: output)
    }
    withExtendedLifetime(context) {}
  }

  /// Writes a freshly initialized network.
  package static func initialize(output: String, identities: Int, _ configuration: Configuration, _ machine: Machine)
    throws
  {
    let network = ReIDNetwork<Float>(Architecture(configuration.model, identities: identities))
    let parameters = network.initialized(configuration.model.initialization, seed: configuration.seed, machine.workers)
    try WeightsFile.write(network, parameters, to: output)
  }

  private static func tensor<A: Element>(_ name: String, _ shape: [Int], _ values: [A]) -> SafetensorsTensor {
    if A.self == Double.self { return .doubles(name, shape: shape) { values.map { Double($0) } } }
    return SafetensorsTensor(name, shape: shape) { values.map { Float($0) } }
  }
}
