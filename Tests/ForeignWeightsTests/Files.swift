import Foundation

/// Files of weights, made byte by byte or by the tools themselves.
enum Files {
  /// What Benchmarks/reference/weight_files.py wrote.
  static func corpus(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("FuzzingTests/Corpus/\(name)").path
  }

  static func little(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian, Array.init)
  }

  static func text(_ text: String) -> [UInt8] { Array("X".utf8) + little(UInt32(text.utf8.count)) + Array(text.utf8) }

  static func integer(_ number: Int) -> [UInt8] { [0x8a, 8] + little(Int64(number)) }

  static func sizes(_ numbers: [Int]) -> [UInt8] { Array("(".utf8) + numbers.flatMap(integer) + Array("t".utf8) }

  /// `torch._utils._rebuild_tensor_v2` of a storage of floats.
  static func tensor(
    key: String = "0", count: Int = 4, type: String = "FloatStorage", first: Int = 0, shape: [Int] = [4],
    strides: [Int] = [1]
  ) -> [UInt8] {
    let identity =
      Array("(".utf8) + text("storage") + Array("ctorch\n\(type)\n".utf8) + text(key) + text("cpu") + integer(count)
      + Array("tQ".utf8)
    return Array("ctorch._utils\n_rebuild_tensor_v2\n(".utf8) + identity + integer(first) + sizes(shape)
      + sizes(strides)
      + Array("\u{49}00\n)tR".utf8)
  }

  /// {"w": value}.
  static func dictionary(_ value: [UInt8], _ name: String = "w") -> [UInt8] {
    Array("}".utf8) + text(name) + value + Array("s".utf8)
  }

  static func pickle(_ body: [UInt8]) -> [UInt8] { [0x80, 2] + body + Array(".".utf8) }

  /// 0x1950a86a20f9469cfc6c, which PyTorch's old files begin with.
  private static let magic: [UInt8] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]

  /// PyTorch's old kind of file.
  static func legacy(_ body: [UInt8], keys: [String] = ["0"], storages: [[UInt8]]? = nil) -> [UInt8] {
    let four = little(UInt64(4)) + [1, 2, 3, 4].flatMap { (value: Float) in little(value.bitPattern) }
    let list = Array("](".utf8) + keys.flatMap(text) + Array("e".utf8)
    return pickle([0x8a, 10] + magic) + pickle(integer(1001)) + pickle(Array("}".utf8)) + pickle(body)
      + pickle(list) + (storages ?? keys.map { _ in four }).joined()
  }

  /// A zip archive of stored entries; `claims` are sizes that it says they have.
  static func zip(_ entries: [(name: String, bytes: [UInt8])], claims: [String: UInt32] = [:], flag: UInt16 = 0)
    -> [UInt8]
  {
    var file: [UInt8] = [], list: [UInt8] = []
    for (name, bytes) in entries {
      let claim = claims[name] ?? UInt32(bytes.count)
      let common =
        little(UInt16(20)) + little(flag) + little(UInt16(0)) + [0, 0, 0, 0] + little(sum(bytes)) + little(claim)
        + little(claim) + little(UInt16(name.utf8.count)) + little(UInt16(0))
      list +=
        Array("PK\u{1}\u{2}".utf8) + little(UInt16(20)) + common + [UInt8](repeating: 0, count: 10)
        + little(UInt32(file.count)) + Array(name.utf8)
      file += Array("PK\u{3}\u{4}".utf8) + common + Array(name.utf8) + bytes
    }
    let count = little(UInt16(entries.count))
    return file + list + Array("PK\u{5}\u{6}".utf8) + [0, 0, 0, 0] + count + count + little(UInt32(list.count))
      + little(UInt32(file.count)) + [0, 0]
  }

  /// An archive as `torch.save` writes it.
  static func archive(_ body: [UInt8], storage: [UInt8] = [UInt8](repeating: 0, count: 16)) -> [UInt8] {
    zip([("archive/data.pkl", pickle(body)), ("archive/data/0", storage)])
  }

  /// CRC-32.
  static func sum(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
  }
}
