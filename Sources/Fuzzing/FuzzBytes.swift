/// Bytes that seeds and targets have in common.
enum FuzzBytes {
  static let digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  static func npy(rows: Int, columns: Int, descr: String = "<f4") -> [UInt8] {
    var header = "{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
    header += String(repeating: " ", count: (64 - (header.utf8.count + 11) % 64) % 64) + "\n"
    let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, UInt8(header.utf8.count), 0]
    return magic + Array(header.utf8) + [UInt8](repeating: 0x3f, count: rows * columns * (descr == "<f4" ? 4 : 8))
  }
}
