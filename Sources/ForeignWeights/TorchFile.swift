import Storage
import Tensors

/// The two kinds of files that `torch.save` writes.
///
/// Since 1.6 a zip archive: NAME/data.pkl, the pickle of what was saved, in which storages are named by keys,
/// NAME/data/KEY, the elements of each, and NAME/byteorder. Before, and on request, one file: pickles of a magic number,
/// of a version, of sizes of numbers, of what was saved, and of the list of keys; then, in the order of that list, each
/// storage as a count of 8 bytes and its elements.
enum TorchFile {
  typealias Contents = (tensors: [ForeignTensor], others: [(name: String, what: String)])

  /// 0x1950a86a20f9469cfc6c.
  static let legacyNumber: [UInt8] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
  private static let longestPickle = 1 << 26

  static func read(archive: ZipArchive) throws -> Contents {
    let pickles = archive.names.filter { name in
      name.hasSuffix("/data.pkl") && name.split(separator: "/", omittingEmptySubsequences: false).count == 2
    }
    guard let pickle = pickles.first, pickles.count == 1 else {
      throw Failure.data(
        archive.path, "a zip archive that torch.save has not written: \(pickles.count) entries NAME/data.pkl")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if archive.size(folder + "byteorder") != nil {
      let order = String(decoding: try archive.read(folder + "byteorder", limit: 64), as: UTF8.self)
      guard order == "little" else {
        throw Failure.data(archive.path, "its numbers are \(order)-endian, expected little")
      }
    }
    var unpickler = Unpickler(ByteReader(try archive.read(pickle, limit: longestPickle), of: archive.path))
    let root = try unpickler.load()
    return try contents(unpickler.graph, root, TorchStorages(archive, folder: folder + "data/"))
  }

  static func read(legacy file: InputFile) throws -> Contents {
    let input = ByteReader(file, 0..<file.size)
    var unpickler = Unpickler(input)
    _ = try unpickler.load()
    guard case .integer(1001) = try next(&unpickler) else {
      throw Failure.data(file.path, "is of another version of PyTorch's old files than 1001")
    }
    guard case .dictionary(let system) = try next(&unpickler) else {
      throw Failure.data(file.path, "damaged: the sizes of its numbers are missing")
    }
    for place in stride(from: 0, to: system.count, by: 2) {
      if case .text("little_endian") = unpickler.graph.values[system[place]],
        case .bool(false) = unpickler.graph.values[system[place + 1]]
      {
        throw Failure.data(file.path, "its numbers are big-endian, expected little")
      }
    }
    unpickler = Unpickler(unpickler.input)
    let root = try unpickler.load(), graph = unpickler.graph
    guard case .list(let keys) = try next(&unpickler) else {
      throw Failure.data(file.path, "damaged: its list of storages is missing")
    }
    let names = try keys.map { key in
      guard case .text(let name) = unpickler.graph.values[key] else {
        throw Failure.data(file.path, "damaged: its list of storages has what is no key")
      }
      return name
    }
    return try contents(graph, root, TorchStorages(file, at: unpickler.input.offset, names, graph.storages))
  }

  /// The value of the pickle that follows; of `unpickler` only its graph is of use then.
  private static func next(_ unpickler: inout Unpickler) throws -> PickleValue {
    unpickler = Unpickler(unpickler.input)
    let value = try unpickler.load()
    return unpickler.graph.values[value]
  }

  /// Every tensor is compared with its storage before any is read.
  private static func contents(_ graph: PickleGraph, _ root: Int, _ storages: TorchStorages) throws -> Contents {
    let found = try PickledTensors(graph, of: root)
    var tensors: [ForeignTensor] = [], others = found.others
    for (name, tensor) in found.tensors {
      let storage = graph.storages[tensor.storage]
      guard let type = storage.type else {
        others.append((name, "a tensor of \(storage.typeName), which is not read"))
        continue
      }
      try storages.require(tensor, of: storage, name)
      if storages.isExpanded(tensor, of: storage) {
        others.append((name, "elements repeated by expand, which are not read"))
        continue
      }
      tensors.append(
        ForeignTensor(name, shape: tensor.shape, type) { try storages.elements(of: tensor, storage, type, name) })
    }
    return (tensors, others)
  }
}
