import CISAL
import Storage
import Tensors

/// A record as TensorFlow frames it (TFRecord): the length of the payload (u64, little-endian), its masked CRC32C, the payload,
/// and its masked CRC32C.
package enum EventRecord {
  private static let headBytes = 12, tailBytes = 4

  /// CRC32C (Castagnoli), turned and shifted so that a sum over bytes that hold sums is none of its own.
  package static func maskedSum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let start = UnsafeMutablePointer(mutating: bytes.assumingMemoryBound(to: UInt8.self).baseAddress)
    let sum = ~crc32_iscsi(start, Int32(bytes.count), ~0)
    return (sum >> 15 | sum << 17) &+ 0xa282_ead8
  }

  package static func framed(_ payload: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(payload.count))
    return length + littleEndian(length.withUnsafeBytes(maskedSum)) + payload
      + littleEndian(payload.withUnsafeBytes(maskedSum))
  }

  /// What stands in a file of records.
  package enum Content: Equatable {
    /// Whole records up to here, and nothing after.
    case whole(Int)
    /// Whole records up to here, and one that was not written to its end.
    case torn(Int)
    /// Something else.
    case damaged
  }

  /// Reads a file of records through, one at a time.
  package static func content(of file: InputFile) throws -> Content {
    var place = 0
    while place < file.size {
      guard file.size - place >= headBytes else { return .torn(place) }
      let head = try bytes(of: file, at: place, headBytes), length = number(head[..<8], UInt64.self)
      guard number(head[8...], UInt32.self) == head[..<8].withUnsafeBytes(maskedSum) else { return .damaged }
      guard length <= UInt64(file.size - place - headBytes), case let end = place + headBytes + Int(length),
        end + tailBytes <= file.size
      else { return .torn(place) }
      guard length < 1 << 30 else { return .damaged }
      let payload = try bytes(of: file, at: place + headBytes, Int(length) + tailBytes)
      guard
        number(payload[Int(length)...], UInt32.self) == payload[..<Int(length)].withUnsafeBytes(maskedSum)
      else { return .damaged }
      place = end + tailBytes
    }
    return .whole(place)
  }

  private static func bytes(of file: InputFile, at place: Int, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: place) }
    return bytes
  }

  private static func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func number<T: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _: T.Type) -> T {
    bytes.reversed().reduce(0) { $0 << 8 | T($1) }
  }
}
