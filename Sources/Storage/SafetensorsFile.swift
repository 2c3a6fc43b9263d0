import Foundation
import Tensors

// The format: 8 bytes, little-endian, length of the header; the header, a JSON object
//   {"__metadata__": {text: text, …}, name: {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …}
// and the data, C order, little-endian, offsets counted from its beginning, every byte in exactly one tensor.
// https://github.com/huggingface/safetensors#format

/// The elements that are read and written, by their names in the format.
package enum SafetensorsType: String, Codable, Sendable, CaseIterable {
  case float16 = "F16", bfloat16 = "BF16", float32 = "F32", float64 = "F64", int64 = "I64", uint8 = "U8"

  package var bytes: Int {
    switch self {
    case .uint8: return 1
    case .float16, .bfloat16: return 2
    case .float32: return 4
    case .float64, .int64: return 8
    }
  }
}

/// The JSON of a safetensors file.
struct SafetensorsHeader: Codable {
  struct Entry: Codable {
    let dtype: String
    let shape: [Int]
    let dataOffsets: [Int]
    enum CodingKeys: String, CodingKey { case dtype, shape, dataOffsets = "data_offsets" }
  }

  struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  static let longest = 100_000_000
  static let metadataKey = Name(stringValue: "__metadata__")

  var metadata: [String: String] = [:]
  var entries: [String: Entry] = [:]

  init(metadata: [String: String], entries: [String: Entry]) {
    (self.metadata, self.entries) = (metadata, entries)
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    for key in container.allKeys {
      if key.stringValue == Self.metadataKey.stringValue {
        metadata = try container.decode([String: String].self, forKey: key)
      } else {
        entries[key.stringValue] = try container.decode(Entry.self, forKey: key)
      }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    if !metadata.isEmpty { try container.encode(metadata, forKey: Self.metadataKey) }
    for (name, entry) in entries { try container.encode(entry, forKey: Name(stringValue: name)) }
  }

  /// The first key that an object of valid JSON has twice, which `JSONDecoder` lets pass.
  static func duplicateKey(in json: [UInt8]) -> String? {
    var objects: [Set<String>] = []
    var lastString = "", position = 0
    while position < json.count {
      switch json[position] {
      case UInt8(ascii: "{"): objects.append([])
      case UInt8(ascii: "}"): objects.removeLast()
      case UInt8(ascii: ":"):
        if !objects[objects.count - 1].insert(lastString).inserted { return lastString }
      case UInt8(ascii: "\""):
        let begin = position
        position += 1
        while json[position] != UInt8(ascii: "\"") { position += json[position] == UInt8(ascii: "\\") ? 2 : 1 }
        let quoted = Foundation.Data(json[begin...position])
        lastString = (try? JSONDecoder().decode(String.self, from: quoted)) ?? ""
      default: break
      }
      position += 1
    }
    return nil
  }
}

/// A safetensors file open for reading. Opening checks the whole header; values are read when they are asked for.
package final class SafetensorsFile: Sendable {
  private struct Entry {
    let type: SafetensorsType
    let shape: [Int]
    let count: Int
    /// Bytes from the beginning of the file.
    let offset: Int
  }

  package let path: String
  /// The names of the tensors, sorted.
  package let names: [String]
  package let metadata: [String: String]
  private let entries: [String: Entry]
  private let file: InputFile

  /// - Throws: `Failure.data` with the path and what is wrong, for whatever is not a well-formed file.
  package init(path: String) throws {
    func wrong(_ what: String) -> Failure { .data("\(path): \(what)") }
    let file = try InputFile(path), size = file.size
    guard size >= 8 else { throw wrong("truncated: \(size) bytes, too few for a safetensors file") }
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) { try file.read(into: $0, at: 0) }
    length = UInt64(littleEndian: length)
    guard length <= SafetensorsHeader.longest else {
      throw wrong("header of \(length) bytes is too long (not a safetensors file?)")
    }
    let dataBegin = 8 + Int(length)
    guard dataBegin <= size else { throw wrong("truncated: header of \(length) bytes in a file of \(size)") }
    var json = [UInt8](repeating: 0, count: Int(length))
    try json.withUnsafeMutableBytes { try file.read(into: $0, at: 8) }

    // A zero byte would let JSONDecoder take the text for UTF-16.
    guard json.first == UInt8(ascii: "{") && !json.contains(0) else { throw wrong("header is not valid JSON") }
    let header: SafetensorsHeader
    do {
      header = try JSONDecoder().decode(SafetensorsHeader.self, from: Foundation.Data(json))
    } catch let error as DecodingError {
      throw wrong(Self.explain(error))
    }
    if let name = SafetensorsHeader.duplicateKey(in: json) { throw wrong("header has \(name) twice") }

    var entries: [String: Entry] = [:]
    for (name, entry) in header.entries {
      guard let type = SafetensorsType(rawValue: entry.dtype) else {
        let known = SafetensorsType.allCases.map(\.rawValue).joined(separator: ", ")
        throw wrong("tensor \(name) has unknown dtype \(entry.dtype) (known: \(known))")
      }
      guard let bytes = Self.bytes(entry.shape, type), entry.dataOffsets.count == 2, entry.dataOffsets[0] >= 0 else {
        throw wrong("tensor \(name) has an impossible shape \(entry.shape) or offsets \(entry.dataOffsets)")
      }
      let (begin, end) = (entry.dataOffsets[0], entry.dataOffsets[1])
      guard end <= size - dataBegin else {
        throw wrong("truncated: tensor \(name) ends at byte \(end) of \(size - dataBegin) bytes of data")
      }
      guard end >= begin && end - begin == bytes else {
        let what = "tensor \(name), \(type.rawValue) of shape \(entry.shape)"
        throw wrong("\(what), takes \(bytes) bytes, not \(begin)..<\(end)")
      }
      entries[name] = Entry(
        type: type, shape: entry.shape, count: bytes / type.bytes, offset: dataBegin + begin)
    }
    var filled = 0, before = "its beginning"
    let inOrder = header.entries.sorted {
      ($0.value.dataOffsets[0], $0.value.dataOffsets[1], $0.key)
        < ($1.value.dataOffsets[0], $1.value.dataOffsets[1], $1.key)
    }
    for (name, entry) in inOrder {
      let begin = entry.dataOffsets[0]
      if begin < filled { throw wrong("tensors \(before) and \(name) overlap") }
      if begin > filled { throw wrong("a hole of \(begin - filled) bytes between \(before) and \(name)") }
      (filled, before) = (entry.dataOffsets[1], name)
    }
    guard filled == size - dataBegin else {
      throw wrong("\(size - dataBegin - filled) bytes after the last tensor belong to none")
    }
    self.path = path
    self.entries = entries
    names = entries.keys.sorted()
    metadata = header.metadata
    self.file = file
  }

  package func contains(_ name: String) -> Bool { entries[name] != nil }
  package func shape(_ name: String) throws -> [Int] { try entry(name).shape }
  package func dtype(_ name: String) throws -> SafetensorsType { try entry(name).type }

  /// The elements of a tensor in C order, converted from whatever it holds. Throws `Failure.data`.
  package func values(_ name: String, as: Float.Type = Float.self) throws -> [Float] {
    let count = try entry(name).count
    try file.requireMemory(count * MemoryLayout<Float>.size)
    return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      try read(name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  package func values(_ name: String, as: Double.Type) throws -> [Double] {
    let count = try entry(name).count
    try file.requireMemory(count * MemoryLayout<Double>.size)
    return try [Double](unsafeUninitializedCapacity: count) { buffer, initialized in
      try read(name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      initialized = count
    }
  }

  /// As `values`, into memory of exactly the tensor's count.
  package func read(_ name: String, into out: UnsafeMutableBufferPointer<Float>) throws {
    let entry = try entry(name)
    try requireCount(entry, out.count, name)
    if entry.type == .float32 {
      return try file.read(into: UnsafeMutableRawBufferPointer(out), at: entry.offset)
    }
    try chunks(of: entry) { bytes, first in
      let out = out.baseAddress! + first
      switch entry.type {
      case .float16: convert(bytes, Float16.self, to: out) { Float($0) }
      case .bfloat16: convert(bytes, UInt16.self, to: out) { Float(bitPattern: UInt32($0) << 16) }
      case .float32: convert(bytes, Float.self, to: out) { $0 }
      case .float64: convert(bytes, Double.self, to: out) { Float($0) }
      case .int64: convert(bytes, Int64.self, to: out) { Float($0) }
      case .uint8: convert(bytes, UInt8.self, to: out) { Float($0) }
      }
    }
  }

  package func read(_ name: String, into out: UnsafeMutableBufferPointer<Double>) throws {
    let entry = try entry(name)
    try requireCount(entry, out.count, name)
    if entry.type == .float64 {
      return try file.read(into: UnsafeMutableRawBufferPointer(out), at: entry.offset)
    }
    try chunks(of: entry) { bytes, first in
      let out = out.baseAddress! + first
      switch entry.type {
      case .float16: convert(bytes, Float16.self, to: out) { Double($0) }
      case .bfloat16: convert(bytes, UInt16.self, to: out) { Double(Float(bitPattern: UInt32($0) << 16)) }
      case .float32: convert(bytes, Float.self, to: out) { Double($0) }
      case .float64: convert(bytes, Double.self, to: out) { $0 }
      case .int64: convert(bytes, Int64.self, to: out) { Double($0) }
      case .uint8: convert(bytes, UInt8.self, to: out) { Double($0) }
      }
    }
  }

  private func entry(_ name: String) throws -> Entry {
    guard let entry = entries[name] else { throw Failure.data(path, "has no tensor \(name)") }
    return entry
  }

  private func requireCount(_ entry: Entry, _ count: Int, _ name: String) throws {
    guard entry.count == count else {
      throw Failure.data(path, "tensor \(name) of shape \(entry.shape) does not fit \(count) values")
    }
  }

  /// Hands the bytes of a tensor to `body`, a few megabytes at a time, with the index of their first element.
  private func chunks(of entry: Entry, _ body: (UnsafeRawBufferPointer, Int) -> Void) throws {
    let elements = 1 << 20
    let chunk = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(elements, max(entry.count, 1)) * entry.type.bytes, alignment: 64)
    defer { chunk.deallocate() }
    for first in stride(from: 0, to: entry.count, by: elements) {
      let count = min(elements, entry.count - first)
      let part = UnsafeMutableRawBufferPointer(rebasing: chunk[..<(count * entry.type.bytes)])
      try file.read(into: part, at: entry.offset + first * entry.type.bytes)
      body(UnsafeRawBufferPointer(part), first)
    }
  }

  /// Nil where the shape has a negative size or is too large for this machine.
  private static func bytes(_ shape: [Int], _ type: SafetensorsType) -> Int? {
    var bytes = type.bytes
    for size in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
      if size < 0 || overflow { return nil }
      bytes = product
    }
    return bytes
  }

  private static func explain(_ error: DecodingError) -> String {
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
      .dataCorrupted(let context) where !context.codingPath.isEmpty:
      let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: " ")
      return "header does not have the form it must have, at \(path.isEmpty ? "its beginning" : path)"
    default:
      return "header is not valid JSON"
    }
  }
}

/// Inlined with its closure into each use, so that the loop is over plain machine numbers.
@inline(__always)
func convert<Source, Target>(
  _ bytes: UnsafeRawBufferPointer, _: Source.Type, to out: UnsafeMutablePointer<Target>, _ element: (Source) -> Target
) {
  let source = bytes.bindMemory(to: Source.self)
  for i in 0..<source.count { out[i] = element(source[i]) }
}
