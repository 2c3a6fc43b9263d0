import Foundation
import Tensors

/// A tensor to be written.
package struct SafetensorsTensor {
  enum Source {
    case floats(() throws -> [Float]), doubles(() throws -> [Double]), bytes(UnsafeRawBufferPointer)
  }

  package let name: String
  package let shape: [Int]
  package let type: SafetensorsType
  let source: Source

  /// - Parameters:
  ///   - shape: of the values in C order.
  ///   - type: `.float16`, `.bfloat16` (rounded to nearest, ties to even), `.float32` or `.float64`.
  ///   - values: called once, when the tensor's turn comes, so that one tensor at a time is in memory.
  package init(_ name: String, shape: [Int], type: SafetensorsType = .float32, values: @escaping () throws -> [Float]) {
    (self.name, self.shape, self.type, source) = (name, shape, type, .floats(values))
  }

  /// Of `.float64`. Not an initializer, because a trailing closure would leave open which of the two is meant.
  package static func doubles(
    _ name: String, shape: [Int], values: @escaping () throws -> [Double]
  ) -> SafetensorsTensor {
    SafetensorsTensor(name: name, shape: shape, type: .float64, source: .doubles(values))
  }

  /// Memory that already holds the elements of `type`; it must live until the file is written.
  package init(_ name: String, shape: [Int], type: SafetensorsType, bytes: UnsafeRawBufferPointer) {
    (self.name, self.shape, self.type, source) = (name, shape, type, .bytes(bytes))
  }

  private init(name: String, shape: [Int], type: SafetensorsType, source: Source) {
    (self.name, self.shape, self.type, self.source) = (name, shape, type, source)
  }
}

package enum SafetensorsWriter {
  /// Writes a safetensors file, whole or not at all. The same tensors and metadata give the same bytes.
  ///
  /// The data stands in the order of the reference implementation: elements of more bytes first, so that every
  /// tensor is aligned, then by name. The header is padded with spaces to a multiple of 8 bytes.
  /// - Parameter progress: called after each tensor.
  /// - Throws: `Failure.internal` with the path, and the tensor or the system's reason.
  package static func write(
    _ tensors: [SafetensorsTensor], metadata: [String: String] = [:], to path: String, progress: () -> Void = {}
  ) throws {
    let ordered = tensors.sorted { ($1.type.bytes, $0.name) < ($0.type.bytes, $1.name) }
    var entries: [String: SafetensorsHeader.Entry] = [:]
    var end = 0
    for tensor in ordered {
      let begin = end
      end += tensor.shape.reduce(tensor.type.bytes, *)
      let entry = SafetensorsHeader.Entry(dtype: tensor.type.rawValue, shape: tensor.shape, dataOffsets: [begin, end])
      guard tensor.name != SafetensorsHeader.metadataKey.stringValue,
        entries.updateValue(entry, forKey: tensor.name) == nil
      else { throw Failure.internal(path, "tensor name \(tensor.name) is taken") }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var json = try encoder.encode(SafetensorsHeader(metadata: metadata, entries: entries))
    json.append(contentsOf: [UInt8](repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8))

    try AtomicFiles.write(to: path) { file in
      try withUnsafeBytes(of: UInt64(json.count).littleEndian) { try file.write($0) }
      try json.withUnsafeBytes { try file.write($0) }
      for tensor in ordered {
        try write(tensor, to: file)
        progress()
      }
    }
  }

  private static func write(_ tensor: SafetensorsTensor, to file: OutputFile) throws {
    let count = tensor.shape.reduce(1, *)
    func requireCount(_ found: Int) throws {
      guard found == count else {
        throw Failure.internal(file.path, "tensor \(tensor.name) of shape \(tensor.shape) was given \(found) values")
      }
    }
    switch (tensor.source, tensor.type) {
    case (.bytes(let bytes), let type):
      try requireCount(bytes.count / type.bytes)
      try file.write(bytes)
    case (.doubles(let values), _):
      let values = try values()
      try requireCount(values.count)
      try values.withUnsafeBytes { try file.write($0) }
    case (.floats(let values), let type):
      let values = try values()
      try requireCount(values.count)
      try values.withUnsafeBytes { bytes in
        switch type {
        case .float32: try file.write(bytes)
        case .float16: try write(bytes, count, to: file) { Float16($0) }
        case .bfloat16: try write(bytes, count, to: file, as: bfloat16)
        case .float64: try write(bytes, count, to: file) { Double($0) }
        case .int64, .uint8:
          throw Failure.internal(file.path, "tensor \(tensor.name) of \(type.rawValue) is written from bytes only")
        }
      }
    }
  }

  @inline(__always)
  private static func write<Target>(
    _ floats: UnsafeRawBufferPointer, _ count: Int, to file: OutputFile, as element: (Float) -> Target
  ) throws {
    let out = UnsafeMutableBufferPointer<Target>.allocate(capacity: max(count, 1))
    defer { out.deallocate() }
    convert(floats, Float.self, to: out.baseAddress!, element)
    try file.write(UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: out[..<count])))
  }

  /// The upper half of a float, rounded to nearest, ties to even; NaN stays NaN.
  private static func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(bits >> 16) | 0x40 }
    return UInt16((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
  }
}
