import Storage
import Tensors

/// The fields of a message of protocol buffers that stands in a file, without what is in them.
struct ProtobufFrame {
  let number: UInt64
  /// Or a text, or bytes.
  let isMessage: Bool
  let range: Range<Int>

  /// - Parameters:
  ///   - most: how many there may be.
  ///   - isWanted: which are returned.
  static func fields(
    of file: InputFile, _ range: Range<Int>, most: Int, where isWanted: (ProtobufFrame) -> Bool = { _ in true }
  ) throws -> [ProtobufFrame] {
    var reader = ByteReader(file, range), found: [ProtobufFrame] = [], seen = 0
    func damaged() -> Failure { .data(file.path, "damaged, or no ONNX model: byte \(reader.offset) begins no field") }
    while reader.remaining > 0 {
      let key = try varint(&reader), begin: Int
      guard key >> 3 > 0 else { throw damaged() }
      switch key & 7 {
      case 0:
        begin = reader.offset
        _ = try varint(&reader)
      case 1:
        begin = reader.offset
        try reader.skip(8)
      case 2:
        let length = try varint(&reader)
        begin = reader.offset
        try reader.skip(length)
      case 5:
        begin = reader.offset
        try reader.skip(4)
      default: throw damaged()
      }
      seen += 1
      guard seen <= most else { throw Failure.data(file.path, "has more than \(most) fields in a message") }
      let field = ProtobufFrame(number: key >> 3, isMessage: key & 7 == 2, range: begin..<reader.offset)
      if isWanted(field) { found.append(field) }
    }
    return found
  }

  private static func varint(_ reader: inout ByteReader) throws -> UInt64 {
    var number: UInt64 = 0
    for place in 0..<10 {
      let byte = try reader.byte()
      number |= UInt64(byte & 0x7f) << UInt64(7 * place)
      if byte < 0x80 { return number }
    }
    throw Failure.data(reader.path, "damaged, or no ONNX model: a number without an end")
  }
}
