import Network
import Storage
import Tensors

/// Where each tensor of another tool's file goes in a network of Lineup.
package struct WeightImport {
  package enum Fate: Sendable {
    /// Under this name of Lineup's, with the shape that it has there.
    case taken(String, shape: [Int])
    /// Why.
    case left(String)
  }

  package let file: ForeignFile
  /// Of each of the file's tensors.
  package let fates: [Fate]
  /// What network it is, nil where it is none that Lineup knows.
  package let trunk: KnownTrunk?
  /// Tensors of the trunk that the file does not have, sorted.
  package let missing: [String]

  /// - Parameter head: the head of `model.heads` that a head's tensors go to; nil: the paper's own.
  package init(_ file: ForeignFile, head: String? = nil) {
    let bare = file.tensors.map { ForeignNames.bare($0.name) }
    // Of several that come to the same name, the one that has the least before it.
    var owners: [String: Int] = [:]
    for (index, name) in bare.enumerated() {
      if let other = owners[name], file.tensors[other].name.utf8.count <= file.tensors[index].name.utf8.count {
        continue
      }
      owners[name] = index
    }
    let trunk = KnownTrunk(of: owners.mapValues { file.tensors[$0].shape })
    let fates = file.tensors.enumerated().map { index, tensor in
      Self.fate(tensor, bare[index], isOwner: owners[bare[index]] == index, trunk, head)
    }
    let taken = Set(fates.compactMap { if case .taken(let name, _) = $0 { name } else { nil } })
    (self.file, self.fates, self.trunk) = (file, fates, trunk)
    missing = trunk.map { $0.shapes.keys.filter { !taken.contains($0) }.sorted() } ?? []
  }

  private static func fate(
    _ tensor: ForeignTensor, _ bare: String, isOwner: Bool, _ trunk: KnownTrunk?, _ head: String?
  ) -> Fate {
    let fallback = ForeignNames.reason(tensor.name, bare)
    guard let trunk else { return .left(fallback ?? "of no network that Lineup knows") }
    let name: String, shape: [Int]
    if let known = trunk.shapes[bare] {
      (name, shape) = (bare, known)
      guard PublishedTensors.areAlike(tensor.shape, shape) else {
        return .left("\(trunk.kind.rawValue) has the shape \(Self.text(shape)) there")
      }
    } else if let part = ForeignNames.head(bare) {
      name = (head.map { "heads.\($0)." } ?? "") + part
      shape = part.hasPrefix("neck.") ? [trunk.channels] : [1]
      guard tensor.shape == shape else { return .left("of a head of another form") }
    } else {
      return .left(fallback ?? "\(trunk.kind.rawValue) has no tensor of this name")
    }
    guard isOwner else { return .left("\(name) is another tensor's already") }
    guard tensor.type.isFloat else { return .left("whole numbers, where \(name) has others") }
    return .taken(name, shape: shape)
  }

  /// 64×3×7×7.
  package static func text(_ shape: [Int]) -> String {
    shape.isEmpty ? "scalar" : shape.map { "\($0)" }.joined(separator: "×")
  }

  package var takenCount: Int { fates.count { if case .taken = $0 { true } else { false } } }

  /// Writes what is taken: float64 as such, all else as float32.
  /// - Throws: `Failure.data` with file and tensor; `Failure.internal` where the system takes no file.
  package func write(to path: String, progress: () -> Void = {}) throws {
    guard takenCount > 0 else { throw Failure.data(file.path, "no tensor of a network that Lineup knows is in it") }
    var tensors: [SafetensorsTensor] = []
    for case (let tensor, .taken(let name, let shape)) in zip(file.tensors, fates) {
      tensors.append(
        tensor.type == .float64
          ? .doubles(name, shape: shape) { try tensor.doubles() }
          : SafetensorsTensor(name, shape: shape) { try tensor.floats() })
    }
    try SafetensorsWriter.write(tensors, metadata: ["format": "lineup"], to: path, progress: progress)
  }
}
