import Layers
import Network
import Tensors

/// A trunk that Lineup has, by the names and shapes of its tensors.
package struct KnownTrunk {
  package let kind: TrunkKind, norm: TrunkNorm, width: Double, attention: TrunkAttention
  /// Of parameters and running statistics.
  let shapes: [String: [Int]]
  /// Channels of its last map, as many as the feature of a head on it has.
  let channels: Int

  private init(_ kind: TrunkKind, _ norm: TrunkNorm, width: Double, _ attention: TrunkAttention) {
    (self.kind, self.norm, self.width, self.attention) = (kind, norm, width, attention)
    var architecture = Architecture(head: .baseline, width: width, identities: 2)
    (architecture.trunk, architecture.norm, architecture.attention) = (kind, norm, attention)
    let network = ReIDNetwork<Float>(architecture)
    let slots = (network.layout.slots + network.statistics.slots).filter { network.trunkTensors.contains($0.name) }
    shapes = Dictionary(uniqueKeysWithValues: slots.map { ($0.name, $0.shape) })
    channels = slots.last { $0.kind == .convolution }?.shape[0] ?? 0
  }

  /// The one that has the most tensors of these names and shapes, and of those the smallest; nil where none has any but
  /// that of the stem.
  init?(of tensors: [String: [Int]]) {
    // Its channels tell the width, or those of its norm where its weight cannot be read.
    let stems = ForeignNames.stems + ["bn1.weight", "conv1.bn.weight"]
    guard let stem = stems.lazy.compactMap({ tensors[$0] }).first?.first, (1...1024).contains(stem) else {
      return nil
    }
    let attention = Self.excitation(tensors) ?? Self.nonLocalBlocks(tensors) ?? .none(NoOptions())
    let width = Double(stem) / 64
    let trunks = TrunkKind.allCases.flatMap { kind in
      (kind.isResNet ? TrunkNorm.allCases : [.batch]).map {
        KnownTrunk(kind, $0, width: width, kind.isResNet ? attention : .none(NoOptions()))
      }
    }
    func matches(_ trunk: KnownTrunk) -> Int {
      trunk.shapes.count { name, shape in tensors[name].map { PublishedTensors.areAlike($0, shape) } ?? false }
    }
    let best = trunks.max { (matches($0), $1.shapes.count) < (matches($1), $0.shapes.count) }
    guard let best, matches(best) > 1 else { return nil }
    self = best
  }

  /// Squeeze-and-excitation in every block: its hidden values tell how many times fewer there are.
  private static func excitation(_ tensors: [String: [Int]]) -> TrunkAttention? {
    guard let shape = tensors["layer1.0.se.fc.0.weight"], shape.count >= 2, (1...4096).contains(shape[0]) else {
      return nil
    }
    var options = ReductionOptions()
    options.reduction = min(4096, max(1, shape[1] / shape[0]))
    return .se(options)
  }

  /// Non-local blocks behind the last blocks of some stages.
  private static func nonLocalBlocks(_ tensors: [String: [Int]]) -> TrunkAttention? {
    var options = NonLocalOptions(), inner: Int?
    options.blocks = (1...4).map { stage in
      (0..<36).prefix { block in
        let shape = tensors["NL_\(stage).\(block).g.weight"]
        if let shape, shape.count >= 2, inner == nil { inner = 2 * shape[0] == shape[1] ? 0 : shape[0] }
        return shape != nil
      }.count
    }
    guard let inner, (0...4096).contains(inner) else { return nil }
    options.channels = inner
    return .nonLocal(options)
  }

  /// The configuration that makes it.
  package var settings: [String] {
    let attention: String? =
      switch attention {
      case .se(let options) where options.reduction == ReductionOptions().reduction: "se"
      case .se(let options): "{se: {reduction: \(options.reduction)}}"
      case .nonLocal(let options)
      where (options.blocks, options.channels) == (NonLocalOptions().blocks, NonLocalOptions().channels): "nonLocal"
      case .nonLocal(let options): "{nonLocal: {blocks: \(options.blocks), channels: \(options.channels)}}"
      default: nil
      }
    return ["model.trunk=\(kind.rawValue)"] + (kind.isResNet ? ["model.norm=\(norm.rawValue)"] : [])
      + (width == 1 ? [] : ["model.width=\(width)"]) + (attention.map { ["model.attention=\($0)"] } ?? [])
  }
}
