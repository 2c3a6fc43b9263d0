import Layers
import Network
import Storage
import Tensors

/// Whose names weights are written under.
package enum ForeignTool: String, CaseIterable, Sendable {
  case torchvision, timm, torchreid
  case ibnNet = "ibn-net"
  case fastReID = "fast-reid"
}

/// Where the tensors of a network go in a file for another tool.
///
/// Trunks have the names of torchvision (timm's too), IBN-Net and torchreid as they are; what else a network has is
/// left, but for the BNNeck and the classifier of fast-reid.
package struct WeightExport {
  /// The name there of each tensor that goes, in the order of the network.
  package let taken: [(name: String, slot: ParameterLayout.Slot, isStatistic: Bool)]
  /// Lineup's names of those that stay.
  package let left: [String]
  /// Biases that the other network has in front of a norm: zeros.
  private let zeros: [(name: String, shape: [Int])]

  /// - Throws: `Failure.usage` where the tool has no such network.
  package init(_ network: ReIDNetwork<Float>, _ tool: ForeignTool) throws {
    try Self.require(network.architecture, tool)
    var taken: [(name: String, slot: ParameterLayout.Slot, isStatistic: Bool)] = [], left: [String] = []
    for (layout, isStatistic) in [(network.layout, false), (network.statistics, true)] {
      for slot in layout.slots {
        if let name = Self.name(slot.name, of: network, tool) {
          taken.append((name, slot, isStatistic))
        } else {
          left.append(slot.name)
        }
      }
    }
    (self.taken, self.left) = (taken, left)
    zeros = taken.compactMap { name, slot, _ in
      ForeignNames.bias(shifting: slot.name).map { (String(name.dropLast(slot.name.count)) + $0, slot.shape) }
    }
  }

  private static func require(_ architecture: Architecture, _ tool: ForeignTool) throws {
    let trunk = architecture.trunk
    func refuse(_ key: String, _ value: String) -> Failure {
      .usage("--names \(tool.rawValue)", "no network with \(key) \(value) is written under its names")
    }
    let attention = architecture.attention.part.kind
    if attention != .none && !(attention == .nonLocal && tool == .fastReID) {
      throw refuse("model.attention", attention.rawValue)
    }
    if architecture.filters != .plain { throw refuse("model.filters", architecture.filters.rawValue) }
    if !trunk.isResNet && tool != .torchreid { throw refuse("model.trunk", trunk.rawValue) }
    let norms: [TrunkNorm] =
      switch tool {
      case .torchvision, .timm, .torchreid: [.batch]
      case .ibnNet: [.ibnA]
      case .fastReID: [.batch, .ibnA]
      }
    if trunk.isResNet && !norms.contains(architecture.norm) { throw refuse("model.norm", architecture.norm.rawValue) }
  }

  private static func name(_ name: String, of network: ReIDNetwork<Float>, _ tool: ForeignTool) -> String? {
    if network.trunkTensors.contains(name) { return tool == .fastReID ? "backbone." + name : name }
    guard tool == .fastReID, let head = network.heads.first,
      case .bnneck = network.architecture.headOptions[0].neck.part.kind
    else { return nil }
    let beginning = network.architecture.heads.isEmpty ? "" : "heads.\(network.architecture.headOptions[0].name)."
    if name == beginning + "classifier.weight", head.retrieve { return "heads.weight" }
    let norm = beginning + "neck.bn."
    return name.hasPrefix(norm) ? "heads.bottleneck.0." + name.dropFirst(norm.count) : nil
  }

  /// Writes them as float32.
  package func write(_ parameters: Parameters<Float>, to path: String, progress: () -> Void = {}) throws {
    var tensors = taken.map { name, slot, isStatistic in
      let values = isStatistic ? parameters.statistics : parameters.values
      return SafetensorsTensor(name, shape: slot.shape) { ParameterLayout.toFile(slot, values.pointer) as [Float] }
    }
    tensors += zeros.map { name, shape in
      SafetensorsTensor(name, shape: shape) { [Float](repeating: 0, count: shape.reduce(1, *)) }
    }
    // What libraries of PyTorch's ecosystem ask of a file.
    try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: path, progress: progress)
  }
}
