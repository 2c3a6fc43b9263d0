import Dataset
import Foundation
import Layers
import Network
import Storage
import Tensors

/// A state of training in a folder `step-00000123`, whole or not at all:
///
///     model.safetensors      parameters and running statistics, torchvision's names
///     optimizer.safetensors  the optimizer's moments, m.<name> and v.<name> for Adam; with adaptive L2 also adaptiveL2.<name>
///                            and their moments
///     average.safetensors    with `average.decay`: the moving average of model.safetensors, by the same names
///     state.json             where the run stands
///     config.yaml            its configuration; keys that are newer than the file have their defaults
///     manifest.json          sizes and SHA-256 of the files
package struct Checkpoint {
  /// Where a run stands.
  package struct State: Codable, Sendable, Equatable {
    /// Of this layout of files.
    package var version = State.currentVersion
    package static let currentVersion = 1
    /// Steps done, skipped ones included.
    package var step: Int
    /// Updates that the optimizer has made, and how many of them left the trunk alone.
    package var updates: Int
    package var frozenUpdates: Int?
    /// Updates of the strengths of adaptive L2.
    package var strengthUpdates: Int?
    /// Updates that the average of the weights is of.
    package var averagedUpdates: Int?
    package var lossScale: DynamicScale
    /// With the gradient regularizer.
    package var tangentScale: DynamicScale?
    /// Where gradients cross ranks as integers.
    package var magnitudes: GradientMagnitudes?
    /// The best evaluation so far.
    package var best: Best?
    /// Training identities in the order of their classes.
    package var identities: [Int]
    /// Training cameras likewise, where a head goes by them.
    package var cameras: [Int]?
    /// In a file of its own.
    package var configuration = Configuration()

    private enum CodingKeys: String, CodingKey {
      case version, step, updates, frozenUpdates, strengthUpdates, averagedUpdates, lossScale, tangentScale, magnitudes,
        best, identities, cameras
    }

    package struct Best: Codable, Sendable, Equatable {
      package var mAP: Double, step: Int

      package init(mAP: Double, step: Int) { (self.mAP, self.step) = (mAP, step) }
    }

    package init(
      step: Int, updates: Int, lossScale: DynamicScale, best: Best?, identities: [Int], cameras: [Int]? = nil,
      configuration: Configuration
    ) {
      (self.step, self.updates, self.lossScale, self.best) = (step, updates, lossScale, best)
      (self.identities, self.cameras, self.configuration) = (identities, cameras, configuration)
    }

    /// Where `training` stands after `step` steps.
    package init<E: Element>(
      _ training: TrainingStep<E>, step: Int, best: Best?, identities: [Int], cameras: [Int]? = nil,
      _ configuration: Configuration
    ) {
      self.init(
        step: step, updates: training.optimizer.steps, lossScale: training.lossScale, best: best,
        identities: identities, cameras: cameras, configuration: configuration)
      if training.optimizer.frozenSteps > 0 { frozenUpdates = training.optimizer.frozenSteps }
      strengthUpdates = training.penalty?.optimizer.steps
      averagedUpdates = training.average?.updates
      tangentScale = configuration.msgr.lambda > 0 ? training.tangentScale : nil
      magnitudes = training.magnitudes
    }
  }

  package let folder: String
  package let state: State
  private static let model = "model.safetensors", optimizer = "optimizer.safetensors",
    average = "average.safetensors", stateFile = "state.json",
    configurationFile = "config.yaml"

  /// Reads the checkpoint at `path`: its folder, or one with a `latest` pointer (`RUN/checkpoints`, `RUN`).
  /// - Parameter verified: whether the content of its files is compared with its manifest. One rank of a job does that, and
  ///   all agree on the manifest (`Agreement`).
  package init(path: String, verified: Bool = true) throws {
    folder = try Self.resolve(path)
    let manifest = try verified ? Manifest.verify(folder) : Manifest.read(folder)
    if let wrong = Self.problem(of: manifest) { throw Failure.data("\(folder)/\(Manifest.name)", "\(wrong)") }
    var state = try State.read("\(folder)/\(Self.stateFile)")
    state.configuration = try Configuration.saved("\(folder)/\(Self.configurationFile)")
    self.state = state
  }

  /// What is wrong with the list of files of a manifest: a file that is not in it is not compared with anything.
  static func problem(of manifest: Manifest) -> String? {
    let names = manifest.files.map(\.name).sorted(),
      expected = [model, optimizer, stateFile, configurationFile].sorted()
    return names.filter { $0 != average } == expected
      ? nil : "lists \(names.joined(separator: ", ")); expected \(expected.joined(separator: ", "))"
  }

  /// - Throws: `Failure.data` with the system's reason, where that is another than that there is nothing.
  static func isThere(_ path: String) throws -> Bool {
    if access(path, F_OK) == 0 { return true }
    guard [ENOENT, ENOTDIR].contains(errno) else { throw Failure.system(.data, path, errno) }
    return false
  }

  package var manifestPath: String { "\(folder)/\(Manifest.name)" }
  package var modelPath: String { "\(folder)/\(Self.model)" }
  /// Whether it holds an average of the weights.
  package var isAveraged: Bool { state.averagedUpdates != nil }

  /// A network of the checkpoint's architecture with what is retrieved by: the average of its weights, where it has one.
  package func network<E: Element>(_: E.Type) throws -> (ReIDNetwork<E>, Parameters<E.Accumulator>) {
    let network = ReIDNetwork<E>(
      Architecture(
        state.configuration.model, identities: state.identities.count, cameras: state.cameras?.count ?? 1))
    let parameters = Parameters<E.Accumulator>(layout: network.layout, statistics: network.statistics)
    let file = isAveraged ? "\(folder)/\(Self.average)" : modelPath
    try WeightsFile.loadAll(try SafetensorsFile(path: file), into: network, parameters)
    return (network, parameters)
  }

  /// Puts everything of the checkpoint into a training step.
  package func restore<E: Element>(into step: TrainingStep<E>) throws {
    try WeightsFile.loadAll(try SafetensorsFile(path: modelPath), into: step.network, step.parameters)
    let moments = try SafetensorsFile(path: "\(folder)/\(Self.optimizer)")
    let kind = state.configuration.optimizer.kind
    if kind.moments != step.optimizer.moments.map(\.prefix) {
      throw Failure.data(
        moments.path, "its moments are of optimizer.kind \(kind.part.kind.rawValue); go on with that one")
    }
    try read(moments, step.network.layout, into: step.optimizer)
    (step.optimizer.steps, step.optimizer.frozenSteps) = (state.updates, state.frozenUpdates ?? 0)
    if let average = step.average {
      average.reset(to: step.parameters)
      if let updates = state.averagedUpdates {
        let file = try SafetensorsFile(path: "\(folder)/\(Self.average)")
        try WeightsFile.loadAll(file, into: step.network, average.parameters)
        average.updates = updates
      }
    }
    step.lossScale.resume(from: state.lossScale)
    if let scale = state.tangentScale { step.tangentScale.resume(from: scale) }
    if step.magnitudes != nil, let magnitudes = state.magnitudes {
      guard magnitudes.exponents.count == step.network.layout.slots.count else {
        throw Failure.data(
          "\(folder)/\(Self.stateFile)",
          "magnitudes of \(magnitudes.exponents.count) tensors; the network has \(step.network.layout.slots.count)")
      }
      step.magnitudes = magnitudes
    }
    try restorePenalty(into: step)
  }

  /// Puts the strengths of adaptive L2, if the checkpoint has them, into a training step.
  package func restorePenalty<E: Element>(into step: TrainingStep<E>) throws {
    let file = try SafetensorsFile(path: "\(folder)/\(Self.optimizer)")
    guard let penalty = step.penalty, let first = penalty.adaptive.layout.slots.first, file.contains(first.name) else {
      return
    }
    for slot in penalty.adaptive.layout.slots {
      try WeightsFile.read(file, slot.name, slot, into: penalty.adaptive.values)
    }
    try read(file, penalty.adaptive.layout, into: penalty.optimizer)
    penalty.optimizer.steps = state.strengthUpdates ?? 0
  }

  private func read<A: Element>(_ file: SafetensorsFile, _ layout: ParameterLayout, into optimizer: Optimizer<A>) throws
  {
    let shards = optimizer.shards, isWhole = shards.count == layout.count
    for (prefix, values) in optimizer.moments {
      let whole = isWhole ? values : Buffer<A>(count: layout.count)
      for slot in layout.slots {
        guard file.contains(prefix + slot.name) else {
          throw Failure.data(
            file.path, "tensor \(prefix)\(slot.name) is not in it; was it another optimizer.kind?")
        }
        try WeightsFile.read(file, prefix + slot.name, slot, into: whole)
      }
      guard !isWhole else { continue }
      for (range, start) in shards.parts(of: 0..<layout.count) {
        (values.pointer + start).update(from: whole.pointer + range.lowerBound, count: range.count)
      }
    }
  }

  /// Writes the files of a checkpoint into a folder that will be called `folder`.
  static func write<E: Element>(
    _ step: TrainingStep<E>, _ moments: [(prefix: String, values: Buffer<E.Accumulator>)], _ state: State,
    into path: String, folder: String, progress: () -> Void
  ) throws {
    try WeightsFile.write(step.network, step.parameters, to: "\(path)/\(model)", progress: progress)
    if let average = step.average {
      try WeightsFile.write(step.network, average.parameters, to: "\(path)/\(Self.average)", progress: progress)
    }
    func tensors(
      _ layout: ParameterLayout, _ moments: [(prefix: String, values: Buffer<E.Accumulator>)]
    ) -> [SafetensorsTensor] {
      moments.flatMap { WeightsFile.tensors(layout, $0.values, prefix: $0.prefix) }
    }
    var all = tensors(step.network.layout, moments)
    if let penalty = step.penalty {
      let layout = penalty.adaptive.layout
      all += WeightsFile.tensors(layout, penalty.adaptive.values) + tensors(layout, penalty.optimizer.moments)
    }
    try SafetensorsWriter.write(
      all, metadata: ["format": "lineup"], to: "\(path)/\(optimizer)", progress: progress)
    try AtomicFiles.write(json: state, escapingSlashes: false, to: "\(path)/\(stateFile)")
    try AtomicFiles.write(try state.configuration.yaml(), to: "\(path)/\(configurationFile)")
    progress()
    try Manifest.write(into: path, folder: folder)
  }
}

extension Checkpoint.State {
  /// The state in a file, without its configuration.
  /// - Throws: `Failure.data` with the path, for whatever no run could have written.
  package static func read(_ file: String) throws -> Checkpoint.State {
    guard InputFile.size(file) != nil else { throw Failure.data(file, "missing") }
    let text = Foundation.Data(try InputFile.read(file, limit: 1 << 30))
    struct Format: Decodable { let version: Int }
    if let version = (try? JSONDecoder().decode(Format.self, from: text))?.version, version != currentVersion {
      throw Failure.data(file, "format version \(version); this Lineup reads \(currentVersion)")
    }
    guard let state = try? JSONDecoder().decode(Self.self, from: text) else {
      throw Failure.data(file, "not the state of a checkpoint that this version reads")
    }
    if let wrong = state.problem { throw Failure.data(file, "\(wrong)") }
    return state
  }

  /// What no run could have written, in a few words; nil where all is in order. Numbers from a file that would trap or
  /// mislead later are found here.
  var problem: String? {
    let most = 1 << 53
    guard (0...most).contains(step) else { return "step is \(step)" }
    guard (0...step).contains(updates) else { return "updates is \(updates) of \(step) steps" }
    for (name, count) in [
      ("frozenUpdates", frozenUpdates), ("strengthUpdates", strengthUpdates), ("averagedUpdates", averagedUpdates),
    ] {
      if let count, !(0...updates).contains(count) { return "\(name) is \(count) of \(updates) updates" }
    }
    for (name, scale) in [("lossScale", lossScale), ("tangentScale", tangentScale)] {
      if let wrong = scale?.problem(after: step) { return "\(name): \(wrong)" }
    }
    if let wrong = magnitudes?.exponents.first(where: { $0.map { !(-1100...1024).contains($0) } ?? false }) {
      return "an exponent of magnitudes is \(wrong ?? 0)"
    }
    if let best, !(0...step).contains(best.step) || !(0...1).contains(best.mAP) {
      return "best is \(best.mAP) at step \(best.step)"
    }
    guard !identities.isEmpty, zip(identities, identities.dropFirst()).allSatisfy({ $0 < $1 }) else {
      return "identities are not in ascending order"
    }
    return nil
  }
}
