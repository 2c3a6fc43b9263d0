/// Bytes that seeds and targets have in common.
package enum FuzzBytes {
  static let digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  static func npy(rows: Int, columns: Int, descr: String = "<f4") -> [UInt8] {
    var header = "{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
    header += String(repeating: " ", count: (64 - (header.utf8.count + 11) % 64) % 64) + "\n"
    let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, UInt8(header.utf8.count), 0]
    return magic + Array(header.utf8) + [UInt8](repeating: 0x3f, count: rows * columns * (descr == "<f4" ? 4 : 8))
  }

  /// A PNG of one block of data that is stored as it is; `kind` is PNG's colour type, `rows` have their filters.
  static func png(width: Int, height: Int, bits: UInt8, kind: UInt8, rows: [UInt8], before: [(String, [UInt8])] = [])
    -> [UInt8]
  {
    let count = UInt16(rows.count), sides = [width, height].flatMap { bigEndian(UInt32($0)) }
    let length = [count, ~count].flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    var (a, b) = (1, 0)
    for row in rows {
      a = (a + Int(row)) % 65521
      b = (b + a) % 65521
    }
    let data = [0x78, 0x01, 0x01] + length + rows + bigEndian(UInt32(b << 16 | a))
    let chunks = [("IHDR", sides + [bits, kind, 0, 0, 0])] + before + [("IDAT", data), ("IEND", [])]
    let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    return withSums(signature + chunks.flatMap { bigEndian(UInt32($1.count)) + Array($0.utf8) + $1 + [0, 0, 0, 0] })
  }

  /// The same with the sums that a PNG's chunks should have, as far as there are whole chunks.
  package static func withSums(_ png: [UInt8]) -> [UInt8] {
    var png = png, place = 8
    while place + 12 <= png.count {
      let end = place + 8 + png[place..<(place + 4)].reduce(0) { $0 << 8 | Int($1) }
      guard end + 4 <= png.count else { break }
      png.replaceSubrange(end..<(end + 4), with: bigEndian(cyclicSum(png[(place + 4)..<end])))
      place = end + 4
    }
    return png
  }

  /// CRC-32 as PNG has it.
  private static func cyclicSum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
  }

  private static func bigEndian(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian, Array.init) }
}
