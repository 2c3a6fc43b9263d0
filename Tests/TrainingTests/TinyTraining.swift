import Collectives
import Dataset
import Layers
import Losses
import Network
import Tensors
import Training

/// A training step so small that it takes milliseconds, on one thread a rank.
struct TinyTraining<E: Element> {
  let configuration: Configuration
  let machine: Machine
  let context: Context<E>
  let step: TrainingStep<E>
  static var identities: Int { 3 }

  init(_: E.Type, seed: Int = 1, _ settings: String...) throws {
    try self.init(E.self, seed: seed, settings, SoloCommunicator())
  }

  init(_: E.Type, seed: Int = 1, _ settings: [String], _ communicator: any Communicator) throws {
    configuration = try Configuration.resolve(
      settings: [
        "model.width=0.0625", "model.embedding=16", "input.height=64", "input.width=32", "threads=1", "seed=\(seed)",
        "precision.storage=\(E.precision.rawValue)", "lossScale.initial=64",
      ] + settings)
    machine = try Machine(communicator, threads: 1)
    context = machine.context(E.self, configuration)
    let network = ReIDNetwork<E>(Architecture(configuration.model, identities: Self.identities))
    let parameters = network.initialized(configuration.model.initialization, seed: configuration.seed, machine.workers)
    step = try TrainingStep(network, parameters, configuration, context)
  }

  /// A step on six images of noise, two of each identity.
  func run(_ number: Int, freezesTrunk: Bool = false) throws -> StepResult {
    let samples = (0..<6).map { Sample(path: "", identity: $0 / 2, camera: 0) }
    let batch = ImageBatch(
      pixels: pixels(number), height: 64, width: 32, samples: samples, rows: Array(0..<6), damaged: [])
    return try step.run(
      batch, labels: RowLabels(identities: samples.map(\.identity)), learningRate: 1e-3,
      freezesTrunk: freezesTrunk)
  }

  /// The loss of step 0 and the gradients in `step.gradients`, of these of its six images.
  func differentiate(_ images: Range<Int> = 0..<6) throws -> StepLoss {
    let size = 64 * 32 * 3
    return try step.differentiate(
      Array(pixels(0)[images.lowerBound * size..<images.upperBound * size]), height: 64, width: 32,
      labels: RowLabels(identities: images.map { $0 / 2 }), scale: step.lossScale.scale
    ).loss
  }

  func pixels(_ number: Int, images: Int = 6) -> [UInt8] {
    var random = CounterRandom(seed: 5, epoch: 0, position: number, purpose: .synthesis)
    return (0..<images * 64 * 32 * 3).map { _ in UInt8(random.integer(below: 256)) }
  }

  /// The state of a run after `done` steps.
  func state(_ done: Int, best: Checkpoint.State.Best? = nil) -> Checkpoint.State {
    Checkpoint.State(step, step: done, best: best, identities: [4, 8, 15], configuration)
  }

  /// Everything that a step changes.
  var everything: [[E.Accumulator]] {
    let penalty = step.penalty.map { [$0.adaptive.values] + $0.optimizer.moments.map(\.values) } ?? []
    let average = step.average.map { [$0.parameters.values, $0.parameters.statistics] } ?? []
    let moments = step.optimizer.moments.map(\.values)
    return ([step.parameters.values, step.parameters.statistics] + moments + penalty + average).map { Array($0.span) }
  }
}
