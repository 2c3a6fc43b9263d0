import Dataset
import Foundation
import Layers
import Network
import Storage
import Tensors

/// A state of training in a folder `step-00000123`, whole or not at all:
///
///     model.safetensors      parameters and running statistics, torchvision's names
///     optimizer.safetensors  Adam's moments, m.<name> and v.<name>; with adaptive L2 also adaptiveL2.<name> and their moments
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
    /// Updates that Adam has made.
    package var updates: Int
    /// Updates of the strengths of adaptive L2.
    package var strengthUpdates: Int?
    package var lossScale: DynamicScale
    /// With the gradient regularizer.
    package var tangentScale: DynamicScale?
    /// The best evaluation so far.
    package var best: Best?
    /// Training identities in the order of their classes.
    package var identities: [Int]
    /// Training cameras likewise, where a head goes by them.
    package var cameras: [Int]?
    /// In a file of its own.
    package var configuration = Configuration()

    private enum CodingKeys: String, CodingKey {
      case version, step, updates, strengthUpdates, lossScale, tangentScale, best, identities, cameras
    }

    package struct Best: Codable, Sendable, Equatable {
      package var mAP: Double, step: Int

      package init(mAP: Double, step: Int) { (self.mAP, self.step) = (mAP, step) }
    }

    package init(
      step: Int, updates: Int, strengthUpdates: Int? = nil, lossScale: DynamicScale, tangentScale: DynamicScale? = nil,
      best: Best?, identities: [Int], cameras: [Int]? = nil, configuration: Configuration
    ) {
      (self.strengthUpdates, self.tangentScale) = (strengthUpdates, tangentScale)
      (self.step, self.updates, self.lossScale, self.best) = (step, updates, lossScale, best)
      (self.identities, self.cameras, self.configuration) = (identities, cameras, configuration)
    }
  }

  package let folder: String
  package let state: State
  private static let model = "model.safetensors", optimizer = "optimizer.safetensors", stateFile = "state.json",
    configurationFile = "config.yaml"

  /// Reads the checkpoint at `path`: its folder, or one with a `latest` pointer (`RUN/checkpoints`, `RUN`).
  /// - Parameter verified: whether the content of its files is compared with its manifest. One rank of a job does that, and
  ///   all agree on the manifest (`Agreement`).
  package init(path: String, verified: Bool = true) throws {
    folder = try Self.resolve(path)
    let manifest = try verified ? Manifest.verify(folder) : Manifest.read(folder)
    if let wrong = Self.problem(of: manifest) { throw Failure.data("\(folder)/\(Manifest.name)", "\(wrong)") }
    var state = try State.read("\(folder)/\(Self.stateFile)")
    do {
      state.configuration = try Configuration.resolve(file: "\(folder)/\(Self.configurationFile)")
    } catch let failure as Failure {
      throw Failure(.data, path: failure.path, failure.reason)
    }
    self.state = state
  }

  /// What is wrong with the list of files of a manifest: a file that is not in it is not compared with anything.
  static func problem(of manifest: Manifest) -> String? {
    let names = manifest.files.map(\.name).sorted(),
      expected = [model, optimizer, stateFile, configurationFile].sorted()
    return names == expected
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

  /// A network of the checkpoint's architecture and its parameters.
  package func network<E: Element>(_: E.Type) throws -> (ReIDNetwork<E>, Parameters<E.Accumulator>) {
    let network = ReIDNetwork<E>(
      Architecture(
        state.configuration.model, identities: state.identities.count, cameras: state.cameras?.count ?? 1))
    let parameters = Parameters<E.Accumulator>(layout: network.layout, statistics: network.statistics)
    try WeightsFile.loadAll(try SafetensorsFile(path: modelPath), into: network, parameters)
    return (network, parameters)
  }

  /// Puts everything of the checkpoint into a training step.
  package func restore<E: Element>(into step: TrainingStep<E>) throws {
    try WeightsFile.loadAll(try SafetensorsFile(path: modelPath), into: step.network, step.parameters)
    let moments = try SafetensorsFile(path: "\(folder)/\(Self.optimizer)")
    for slot in step.network.layout.slots {
      try WeightsFile.read(moments, "m." + slot.name, slot, into: step.adam.m)
      try WeightsFile.read(moments, "v." + slot.name, slot, into: step.adam.v)
    }
    step.adam.steps = state.updates
    step.lossScale.resume(from: state.lossScale)
    if let scale = state.tangentScale { step.tangentScale.resume(from: scale) }
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
      try WeightsFile.read(file, "m." + slot.name, slot, into: penalty.adam.m)
      try WeightsFile.read(file, "v." + slot.name, slot, into: penalty.adam.v)
    }
    penalty.adam.steps = state.strengthUpdates ?? 0
  }

  /// Writes the files of a checkpoint into a folder that will be called `folder`.
  static func write<E: Element>(
    _ step: TrainingStep<E>, _ state: State, into path: String, folder: String, progress: () -> Void
  ) throws {
    try WeightsFile.write(step.network, step.parameters, to: "\(path)/\(model)", progress: progress)
    let layout = step.network.layout
    var tensors =
      WeightsFile.tensors(layout, step.adam.m, prefix: "m.") + WeightsFile.tensors(layout, step.adam.v, prefix: "v.")
    if let penalty = step.penalty {
      let layout = penalty.adaptive.layout
      tensors += WeightsFile.tensors(layout, penalty.adaptive.values)
      tensors += WeightsFile.tensors(layout, penalty.adam.m, prefix: "m.")
      tensors += WeightsFile.tensors(layout, penalty.adam.v, prefix: "v.")
    }
    try SafetensorsWriter.write(
      tensors, metadata: ["format": "lineup"], to: "\(path)/\(optimizer)", progress: progress)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    try AtomicFiles.write(
      String(decoding: try encoder.encode(state), as: UTF8.self) + "\n", to: "\(path)/\(stateFile)")
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
    if let strengthUpdates, !(0...step).contains(strengthUpdates) { return "strengthUpdates is \(strengthUpdates)" }
    for (name, scale) in [("lossScale", lossScale), ("tangentScale", tangentScale)] {
      if let wrong = scale?.problem(after: step) { return "\(name): \(wrong)" }
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
