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
  /// Of tensors of which another is taken off, that one.
  private let shifts: [String: ForeignTensor]
  /// What network it is, nil where it is none that Lineup knows.
  package let trunk: KnownTrunk?
  /// Tensors of the trunk that the file does not have, sorted.
  package let missing: [String]

  /// - Parameters:
  ///   - head: the head of `model.heads` that a head's tensors go to; nil: the paper's own.
  ///   - under: the names before the network's that count, `ema`; nil: what wrappers are known to put there, or, where no
  ///     network is found so, whatever stands before the first.
  package init(_ file: ForeignFile, head: String? = nil, under: String? = nil) {
    // Nobody keeps many, and every tensor is compared with each.
    let places = Array(ForeignNames.places(file.tensors).prefix(16))
    let told = Names(file, under: under), elsewhere = told.trunk == nil && under == nil ? places : []
    let names = elsewhere.lazy.map { Names(file, under: $0) }.first { $0.trunk != nil } ?? told
    let fates = file.tensors.indices.map { Self.fate($0, file, names, head, places) }
    let taken = Set(fates.compactMap { if case .taken(let name, _) = $0 { name } else { nil } })
    (self.file, self.fates, trunk) = (file, fates, names.trunk)
    shifts = taken.reduce(into: [:]) { shifts, name in
      guard let bias = ForeignNames.bias(shifting: name).flatMap({ names.owners[$0] }) else { return }
      if file.tensors[bias].shape == names.trunk?.shapes[name] { shifts[name] = file.tensors[bias] }
    }
    missing = trunk.map { $0.shapes.keys.filter { !taken.contains($0) }.sorted() } ?? []
  }

  /// What tensors are called below a place in a file.
  private struct Names {
    /// Of each of the file's tensors; nil for one that is elsewhere.
    let bare: [String?]
    /// The tensor that has a name.
    let owners: [String: Int]
    let trunk: KnownTrunk?

    init(_ file: ForeignFile, under: String?) {
      bare = file.tensors.map { tensor in
        guard let under else { return ForeignNames.bare(tensor.name) }
        return ForeignNames.bare(tensor.name, under: under)
      }
      // Of several that come to the same name, the one that has the least before it.
      var owners: [String: Int] = [:]
      for (index, name) in bare.enumerated() {
        guard let name else { continue }
        if let other = owners[name], file.tensors[other].name.utf8.count <= file.tensors[index].name.utf8.count {
          continue
        }
        owners[name] = index
      }
      self.owners = owners
      trunk = KnownTrunk(of: owners.mapValues { file.tensors[$0].shape })
    }
  }

  private static func fate(
    _ index: Int, _ file: ForeignFile, _ names: Names, _ head: String?, _ places: [String]
  ) -> Fate {
    let tensor = file.tensors[index], bare = names.bare[index] ?? ForeignNames.bare(tensor.name)
    let fallback = ForeignNames.reason(tensor.name, bare)
    guard let trunk = names.trunk else { return .left(fallback ?? "of no network that Lineup knows") }
    // Averaged weights beside the others, say.
    let copy = places.lazy.compactMap { place -> String? in
      guard let name = ForeignNames.bare(tensor.name, under: place), trunk.shapes[name] != nil else { return nil }
      return "another \(name); --under \(Printable.line(place, limit: 60)) takes what is there"
    }.first
    guard names.bare[index] != nil else { return .left(copy ?? fallback ?? "of another part of the file") }
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
    } else if let mean = ForeignNames.mean(shiftedBy: bare), trunk.shapes[mean] == tensor.shape {
      return .left("taken off \(mean), the norm behind it")
    } else {
      return .left(copy ?? fallback ?? "\(trunk.kind.rawValue) has no tensor of this name")
    }
    guard names.owners[bare] == index else { return .left(copy ?? "\(name) is another tensor's already") }
    guard tensor.type.isFloat else { return .left("whole numbers, where \(name) has others") }
    return .taken(name, shape: shape)
  }

  /// 64×3×7×7.
  package static func text(_ shape: [Int]) -> String {
    shape.isEmpty ? "scalar" : shape.map { "\($0)" }.joined(separator: "×")
  }

  package var takenCount: Int { fates.count { if case .taken = $0 { true } else { false } } }

  /// Whether something goes to the head of this name.
  package func takes(head: String) -> Bool {
    fates.contains { if case .taken(let name, _) = $0 { name.hasPrefix("heads.\(head).") } else { false } }
  }

  /// Writes what is taken: float64 as such, all else as float32.
  /// - Throws: `Failure.data` with file and tensor; `Failure.internal` where the system takes no file.
  package func write(to path: String, progress: () -> Void = {}) throws {
    guard takenCount > 0 else { throw Failure.data(file.path, "no tensor of a network that Lineup knows is in it") }
    var tensors: [SafetensorsTensor] = []
    for case (let tensor, .taken(let name, let shape)) in zip(file.tensors, fates) {
      let shift = shifts[name]
      tensors.append(
        tensor.type == .float64
          ? .doubles(name, shape: shape) { try Self.difference(tensor.doubles(), shift?.doubles()) }
          : SafetensorsTensor(name, shape: shape) { try Self.difference(tensor.floats(), shift?.floats()) })
    }
    try SafetensorsWriter.write(tensors, metadata: ["format": "lineup"], to: path, progress: progress)
  }

  private static func difference<T: FloatingPoint>(_ values: [T], _ shift: [T]?) -> [T] {
    shift.map { zip(values, $0).map { $0 - $1 } } ?? values
  }
}
