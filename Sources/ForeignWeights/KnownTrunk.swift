import Layers
import Network
import Tensors

/// A trunk that Lineup has, by the names and shapes of its tensors.
package struct KnownTrunk {
  package let kind: TrunkKind, norm: TrunkNorm, width: Double
  /// Of squeeze-and-excitation in every block, how many times fewer hidden values it has; nil for none.
  package let reduction: Int?
  /// Of parameters and running statistics.
  let shapes: [String: [Int]]
  /// Channels of its last map, as many as the feature of a head on it has.
  let channels: Int

  private init(_ kind: TrunkKind, _ norm: TrunkNorm, width: Double, reduction: Int?) {
    (self.kind, self.norm, self.width, self.reduction) = (kind, norm, width, reduction)
    var architecture = Architecture(head: .baseline, width: width, identities: 2)
    (architecture.trunk, architecture.norm) = (kind, norm)
    if let reduction {
      var options = ReductionOptions()
      options.reduction = reduction
      architecture.attention = .se(options)
    }
    let network = ReIDNetwork<Float>(architecture)
    let slots = (network.layout.slots + network.statistics.slots).filter { network.trunkTensors.contains($0.name) }
    shapes = Dictionary(uniqueKeysWithValues: slots.map { ($0.name, $0.shape) })
    channels = slots.last { $0.kind == .convolution }?.shape[0] ?? 0
  }

  /// The one that has the most tensors of these names and shapes, and of those the smallest; nil where none has any but
  /// that of the stem.
  init?(of tensors: [String: [Int]]) {
    // Its channels tell the width.
    guard let stem = ForeignNames.stems.lazy.compactMap({ tensors[$0] }).first?.first, (1...1024).contains(stem) else {
      return nil
    }
    let excitation = tensors["layer1.0.se.fc.0.weight"]
    let reduction = excitation.flatMap { shape in
      shape.count >= 2 && (1...4096).contains(shape[0]) ? min(4096, max(1, shape[1] / shape[0])) : nil
    }
    let width = Double(stem) / 64
    let trunks = TrunkKind.allCases.flatMap { kind in
      (kind.isResNet ? TrunkNorm.allCases : [.batch]).map {
        KnownTrunk(kind, $0, width: width, reduction: kind.isResNet ? reduction : nil)
      }
    }
    func matches(_ trunk: KnownTrunk) -> Int {
      trunk.shapes.count { name, shape in tensors[name].map { PublishedTensors.areAlike($0, shape) } ?? false }
    }
    let best = trunks.max { (matches($0), $1.shapes.count) < (matches($1), $0.shapes.count) }
    guard let best, matches(best) > 1 else { return nil }
    self = best
  }

  /// The configuration that makes it.
  package var settings: [String] {
    ["model.trunk=\(kind.rawValue)"] + (kind.isResNet ? ["model.norm=\(norm.rawValue)"] : [])
      + (width == 1 ? [] : ["model.width=\(width)"])
      + (reduction.map {
        [$0 == ReductionOptions().reduction ? "model.attention=se" : "model.attention={se: {reduction: \($0)}}"]
      }
        ?? [])
  }
}
