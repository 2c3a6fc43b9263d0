import Storage
import Tensors

/// Bytes one after the other, of a file or of memory, to an end that nothing in them can move. Of a file a little is in
/// memory at a time.
struct ByteReader {
  let path: String
  private(set) var offset: Int
  let end: Int
  private let file: InputFile?
  /// The bytes from `first` on.
  private var buffer: [UInt8], first: Int

  init(_ bytes: [UInt8], of path: String) {
    (self.path, offset, end, file, buffer, first) = (path, 0, bytes.count, nil, bytes, 0)
  }

  /// - Parameter range: within the file.
  init(_ file: InputFile, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= file.size)
    (path, offset, end, self.file, buffer, first) = (
      file.path, range.lowerBound, range.upperBound, file, [], range.lowerBound
    )
  }

  var remaining: Int { end - offset }

  mutating func byte() throws -> UInt8 {
    if offset - first >= buffer.count { try fill() }
    defer { offset += 1 }
    return buffer[offset - first]
  }

  private mutating func fill() throws {
    guard let file, remaining > 0 else { throw truncated() }
    buffer = [UInt8](repeating: 0, count: min(remaining, 1 << 14))
    first = offset
    try buffer.withUnsafeMutableBytes { [offset] in try file.read(into: $0, at: offset) }
  }

  /// - Parameter count: as it stands in the file.
  mutating func take(_ count: Int) throws -> [UInt8] {
    guard count <= remaining else { throw truncated() }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for _ in 0..<count { bytes.append(try byte()) }
    return bytes
  }

  mutating func skip(_ count: some BinaryInteger) throws {
    guard let count = Int(exactly: count), count >= 0, count <= remaining else { throw truncated() }
    offset += count
    if file != nil && offset - first > buffer.count { (buffer, first) = ([], offset) }
  }

  /// A number of `count` bytes, at most 8, little-endian.
  mutating func number(_ count: Int) throws -> UInt64 {
    var number: UInt64 = 0
    for place in 0..<count { number |= UInt64(try byte()) << UInt64(8 * place) }
    return number
  }

  /// The bytes before the next line end, which goes too.
  mutating func line(limit: Int) throws -> [UInt8] {
    var line: [UInt8] = []
    while true {
      let byte = try byte()
      if byte == UInt8(ascii: "\n") { return line }
      guard line.count < limit else {
        throw Failure.data(path, "damaged: a line of more than \(limit) bytes in its pickle")
      }
      line.append(byte)
    }
  }

  func truncated() -> Failure { .data(path, "truncated: it ends before what it has begun to tell") }
}
