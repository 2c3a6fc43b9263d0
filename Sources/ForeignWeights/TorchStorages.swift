import Storage
import Tensors

/// The storages of a file, of which one at a time is in memory.
final class TorchStorages {
  private enum Place { case archive(ZipArchive, folder: String), file(InputFile, [String: Range<Int>]) }

  private let place: Place
  private let path: String
  /// What was read last: tensors often share one.
  private var last: (key: String, bytes: [UInt8])?

  init(_ archive: ZipArchive, folder: String) { (place, path) = (.archive(archive, folder: folder), archive.path) }

  /// - Parameters:
  ///   - begin: where the first stands.
  ///   - keys: the order in which they stand.
  ///   - storages: those that tensors are of, which tell how large an element is.
  init(_ file: InputFile, at begin: Int, _ keys: [String], _ storages: [PickledStorage]) throws {
    var widths: [String: Int] = [:], ranges: [String: Range<Int>] = [:]
    for storage in storages {
      let width = storage.type?.bytes ?? Self.width(storage.typeName)
      guard widths.updateValue(width, forKey: storage.key) ?? width == width else {
        throw Failure.data(file.path, "storage \(storage.key) has elements of two sizes")
      }
    }
    var reader = ByteReader(file, begin..<file.size)
    for key in keys {
      guard let width = widths[key] else { throw Failure.data(file.path, "storage \(key) is no tensor's") }
      let count = try reader.number(8)
      let (bytes, overflow) = count.multipliedReportingOverflow(by: UInt64(width))
      guard !overflow, bytes <= UInt64(reader.remaining) else {
        throw Failure.data(file.path, "truncated: storage \(key) of \(count) elements ends behind the file")
      }
      let range = reader.offset..<reader.offset + Int(bytes)
      guard ranges.updateValue(range, forKey: key) == nil else {
        throw Failure.data(file.path, "has storage \(key) twice")
      }
      try reader.skip(bytes)
    }
    (place, path) = (.file(file, ranges), file.path)
  }

  private static func width(_ storage: String) -> Int {
    switch storage {
    case "torch.ComplexDoubleStorage": 16
    case "torch.ComplexFloatStorage": 8
    default: 1
    }
  }

  private func size(_ key: String) -> Int? {
    switch place {
    case .archive(let archive, let folder): archive.size(folder + key)
    case .file(_, let ranges): ranges[key]?.count
    }
  }

  /// - Throws: `Failure.data` with file and tensor where its elements are not all there.
  func require(_ tensor: PickledTensor, of storage: PickledStorage, _ name: String) throws {
    func wrong(_ what: String) -> Failure { .data(path, "tensor \(name) \(what)") }
    guard let size = size(storage.key) else { throw wrong("is of storage \(storage.key), which is not in the file") }
    let width = storage.type?.bytes ?? 1
    guard storage.count.multipliedReportingOverflow(by: width) == (size, false) else {
      throw wrong(
        "is of storage \(storage.key), of \(storage.count) elements of \(width) bytes, which has \(size) bytes")
    }
    let seen = storage.view ?? (0, storage.count)
    guard seen.first.addingReportingOverflow(seen.count).overflow == false, seen.first + seen.count <= storage.count,
      StridedElements.count(tensor.shape) != nil,
      let end = StridedElements.end(first: tensor.first, shape: tensor.shape, strides: tensor.strides),
      end <= seen.count
    else {
      throw wrong(
        "of shape \(tensor.shape) and strides \(tensor.strides), from element \(tensor.first) on, goes beyond its "
          + "storage of \(seen.count) elements")
    }
  }

  /// Whether it has elements that stand once in its storage and many times in it, as `expand` makes them.
  func isExpanded(_ tensor: PickledTensor, of storage: PickledStorage) -> Bool {
    StridedElements.count(tensor.shape).map { $0 > storage.view?.count ?? storage.count } ?? true
  }

  /// After `require`.
  func elements(of tensor: PickledTensor, _ storage: PickledStorage, _ type: ElementType, _ name: String) throws
    -> StridedElements
  {
    guard
      let elements = StridedElements(
        try bytes(storage.key), type, first: (storage.view?.first ?? 0) + tensor.first, shape: tensor.shape,
        strides: tensor.strides)
    else { throw Failure.data(path, "tensor \(name) goes beyond its storage") }
    return elements
  }

  private func bytes(_ key: String) throws -> [UInt8] {
    if let last, last.key == key { return last.bytes }
    last = nil
    let bytes: [UInt8]
    switch place {
    case .archive(let archive, let folder): bytes = try archive.read(folder + key)
    case .file(let file, let ranges):
      let range = ranges[key] ?? 0..<0
      try file.requireMemory(range.count)
      var read = [UInt8](repeating: 0, count: range.count)
      try read.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
      bytes = read
    }
    last = (key, bytes)
    return bytes
  }
}
