import Foundation
import Tensors
import TestSupport
import Testing

import Storage

@Suite struct SafetensorsTests {
  private func contents(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

  /// A file of this header, as it stands, and data of zeros.
  private func refusal(header: String, data: Int, length: UInt64? = nil) throws -> String? {
    let folder = try TemporaryFolder()
    let path = try folder.file("bad.safetensors")
    var bytes = withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Data($0) }
    bytes.append(contentsOf: Array(header.utf8))
    bytes.append(Data(count: data))
    try bytes.write(to: URL(fileURLWithPath: path))
    let text = message(.data) { _ = try SafetensorsFile(path: path) }
    if let text { #expect(text.hasPrefix(path + ": ") && !text.contains("\n")) }
    return text.map { String($0.dropFirst(path.count + 2)) }
  }

  private func entry(_ name: String, _ type: String, _ shape: String, _ begin: Int, _ end: Int) -> String {
    "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
  }

  @Test func theBytesAreThoseOfTheFormat() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a.safetensors")
    let halves: [Float16] = [1, -2]
    try halves.withUnsafeBytes { halves in
      try SafetensorsWriter.write(
        [
          SafetensorsTensor("b", shape: [2], type: .float16, bytes: halves),
          SafetensorsTensor("c", shape: []) { [0.5] },
          SafetensorsTensor("a/ü", shape: [1, 2]) { [1, 2] },
        ], metadata: ["format": "pt"], to: path)
    }
    var expected = """
      {"__metadata__":{"format":"pt"},"a/ü":{"data_offsets":[0,8],"dtype":"F32","shape":[1,2]},\
      "b":{"data_offsets":[12,16],"dtype":"F16","shape":[2]},"c":{"data_offsets":[8,12],"dtype":"F32","shape":[]}}
      """
    while expected.utf8.count % 8 != 0 { expected += " " }
    var bytes = withUnsafeBytes(of: UInt64(expected.utf8.count).littleEndian) { Array($0) } + Array(expected.utf8)
    bytes += [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0, 0x3f, 0, 0x3c, 0, 0xc0]
    #expect(try contents(path) == bytes)

    let file = try SafetensorsFile(path: path)
    #expect(file.names == ["a/ü", "b", "c"] && file.metadata == ["format": "pt"])
    #expect(try file.shape("a/ü") == [1, 2] && file.shape("c") == [] && file.dtype("b") == .float16)
    #expect(try file.values("b") == [1, -2] && file.values("c", as: Double.self) == [0.5])
    #expect(file.contains("b") && !file.contains("d"))
    #expect(message(.data) { _ = try file.values("d") } == "\(path): has no tensor d")
    var wrong: [Float] = [0]
    let text = message(.data) { try wrong.withUnsafeMutableBufferPointer { try file.read("b", into: $0) } }
    #expect(text == "\(path): tensor b of shape [2] does not fit 1 values")
  }

  @Test func theSameContentGivesTheSameBytes() throws {
    let folder = try TemporaryFolder()
    let tensors = (0..<40).map { i in
      SafetensorsTensor("layer\(i).weight", shape: [i]) { Array(repeating: 1, count: i) }
    }
    let metadata = Dictionary(uniqueKeysWithValues: (0..<20).map { ("key\($0)", "\($0)") })
    let a = try folder.file("a"), b = try folder.file("b")
    try SafetensorsWriter.write(tensors, metadata: metadata, to: a)
    try SafetensorsWriter.write(tensors.reversed(), metadata: metadata, to: b)
    #expect(try contents(a) == contents(b))
    #expect(try SafetensorsFile(path: a).values("layer7.weight") == Array(repeating: 1, count: 7))
    try SafetensorsWriter.write([], to: a)
    #expect(try SafetensorsFile(path: a).names == [])
  }

  @Test func everyTypeConverts() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("types")
    let integers: [Int64] = [-5, 1 << 40], bytes: [UInt8] = [0, 255]
    // 1 + 2^-8 lies halfway between two bfloat16, 1 and 1 + 2^-7: to even. So does 1 + 3·2^-8, which goes up.
    let values: [Float] = [1 + 0x1p-8, 1 + 0x3p-8, 65504, -0x1p-24, .infinity, 3.4e38, 0]
    try integers.withUnsafeBytes { integers in
      try bytes.withUnsafeBytes { bytes in
        try SafetensorsWriter.write(
          [
            SafetensorsTensor("i", shape: [2], type: .int64, bytes: integers),
            SafetensorsTensor("u", shape: [2], type: .uint8, bytes: bytes),
            SafetensorsTensor("h", shape: [7], type: .float16) { values },
            SafetensorsTensor("b", shape: [7], type: .bfloat16) { values },
            SafetensorsTensor("f", shape: [7]) { values },
            SafetensorsTensor("d", shape: [7], type: .float64) { values },
            SafetensorsTensor.doubles("e", shape: [2]) { [1 / 3.0, .nan] },
            SafetensorsTensor("n", shape: [1], type: .bfloat16) { [.nan] },
            SafetensorsTensor("z", shape: [0, 3]) { [] },
          ], to: path)
      }
    }
    let file = try SafetensorsFile(path: path)
    #expect(try file.values("i") == [-5, 0x1p40] && file.values("i", as: Double.self) == [-5, 0x1p40])
    #expect(try file.values("u") == [0, 255] && file.values("u", as: Double.self) == [0, 255])
    #expect(try file.values("h") == values.map { Float(Float16($0)) })
    #expect(try file.values("h", as: Double.self) == values.map { Double(Float16($0)) })
    let rounded: [Float] = [1, 1 + 0x1p-6, 65536, -0x1p-24, .infinity, .infinity, 0]
    #expect(try file.values("b") == rounded && file.values("b", as: Double.self) == rounded.map(Double.init))
    #expect(try file.values("f") == values && file.values("d") == values)
    #expect(try file.values("f", as: Double.self) == values.map(Double.init))
    #expect(try file.values("e", as: Double.self)[0] == 1 / 3.0 && file.values("e")[0] == Float(1 / 3.0))
    #expect(try file.values("e", as: Double.self)[1].isNaN && file.values("n")[0].isNaN)
    #expect(try file.values("z") == [])
  }

  @Test func tensorsLargerThanAChunk() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("large")
    let count = (1 << 20) + 3
    try SafetensorsWriter.write(
      [SafetensorsTensor("h", shape: [count], type: .float16) { (0..<count).map { Float($0 % 2048) } }], to: path)
    let values = try SafetensorsFile(path: path).values("h")
    #expect(values.indices.allSatisfy { values[$0] == Float($0 % 2048) } && values.count == count)
  }

  /// Written by the reference implementation: safetensors 0.8.0 `numpy.save_file` of
  /// {"weight": float16 [[1, 2.5], [-3, 65504]], "steps": int64 7} with metadata {"a": "b"}.
  @Test func readsWhatTheReferenceWrites() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("reference.safetensors")
    try #require(Data(base64Encoded: reference)).write(to: URL(fileURLWithPath: path))
    let file = try SafetensorsFile(path: path)
    #expect(file.names == ["steps", "weight"] && file.metadata == ["a": "b"])
    #expect(try file.values("weight") == [1, 2.5, -3, 65504] && file.shape("weight") == [2, 2])
    #expect(try file.values("steps", as: Double.self) == [7] && file.shape("steps") == [])
  }

  @Test func malformedFilesAreRefused() throws {
    let f = entry("a", "F32", "[2]", 0, 8)
    #expect(try refusal(header: "{\(f)}", data: 8) == nil)
    #expect(try refusal(header: "{\(f)}   ", data: 8) == nil)
    #expect(try refusal(header: "{}", data: 0) == nil)
    let cases: [(header: String, data: Int, length: UInt64?, expected: String)] = [
      ("{\(f)}", 7, nil, "truncated: tensor a ends at byte 8 of 7 bytes of data"),
      ("{}", 0, 900, "truncated: header of 900 bytes in a file of 10"),
      ("{}", 0, 100_000_001, "header of 100000001 bytes is too long (not a safetensors file?)"),
      ("{}", 0, .max, "header of 18446744073709551615 bytes is too long (not a safetensors file?)"),
      ("", 0, nil, "header is not valid JSON"), ("[]", 0, nil, "header is not valid JSON"),
      ("{\(f)", 8, nil, "header is not valid JSON"), ("{\(f)}x", 8, nil, "header is not valid JSON"),
      ("{\0\"\0", 8, nil, "header is not valid JSON"), ("{'a': 1}", 8, nil, "header is not valid JSON"),
      ("{\(f),\(f)}", 8, nil, "header has a twice"),
      ("{\(f),\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[8,8]}}", 8, nil, "header has a twice"),
      (
        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, nil,
        "header has dtype twice"
      ),
      (
        "{\(entry("a", "F12", "[2]", 0, 3))}", 3, nil,
        "tensor a has unknown dtype F12 (known: F16, BF16, F32, F64, I64, U8)"
      ),
      ("{\(entry("a", "F32", "[3]", 0, 8))}", 8, nil, "tensor a, F32 of shape [3], takes 12 bytes, not 0..<8"),
      ("{\(entry("a", "U8", "[0]", 8, 0))}", 8, nil, "tensor a, U8 of shape [0], takes 0 bytes, not 8..<0"),
      ("{\(entry("a", "F32", "[-2]", 0, 8))}", 8, nil, "tensor a has an impossible shape [-2] or offsets [0, 8]"),
      ("{\(entry("a", "F32", "[2]", -8, 0))}", 8, nil, "tensor a has an impossible shape [2] or offsets [-8, 0]"),
      (
        "{\(entry("a", "F64", "[4611686018427387904,8]", 0, 8))}", 8, nil,
        "tensor a has an impossible shape [4611686018427387904, 8] or offsets [0, 8]"
      ),
      (
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1]}}", 1, nil,
        "tensor a has an impossible shape [1] or offsets [1]"
      ),
      ("{\(f),\(entry("b", "F32", "[2]", 4, 12))}", 12, nil, "tensors a and b overlap"),
      ("{\(f),\(entry("b", "F32", "[2]", 0, 8))}", 8, nil, "tensors a and b overlap"),
      ("{\(f),\(entry("b", "F32", "[1]", 12, 16))}", 16, nil, "a hole of 4 bytes between a and b"),
      ("{\(entry("a", "F32", "[1]", 4, 8))}", 8, nil, "a hole of 4 bytes between its beginning and a"),
      ("{\(f)}", 9, nil, "1 bytes after the last tensor belong to none"),
      ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, nil, "header does not have the form it must have, at a"),
      (
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,1]}}", 1, nil,
        "header is not valid JSON"
      ),
      ("{\"a\":3}", 1, nil, "header does not have the form it must have, at a"),
      ("{\"__metadata__\":{\"a\":3}}", 0, nil, "header does not have the form it must have, at __metadata__ a"),
    ]
    for (header, data, length, expected) in cases {
      #expect(try refusal(header: header, data: data, length: length) == expected, "\(header)")
    }
    let folder = try TemporaryFolder()
    let short = try folder.file("short", "abc")
    #expect(
      message(.data) { _ = try SafetensorsFile(path: short) }
        == "\(short): truncated: 3 bytes, too few for a safetensors file")
    let missing = try folder.file("missing")
    #expect(message(.data) { _ = try SafetensorsFile(path: missing) } == "\(missing): No such file or directory")
    #expect(message(.data) { _ = try SafetensorsFile(path: folder.path) } == "\(folder.path): Is a directory")
  }

  @Test func wrongTensorsAreNotWritten() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a", "old")
    let two = SafetensorsTensor("x", shape: [2]) { [1] }, one = SafetensorsTensor("x", shape: [1]) { [1] }
    #expect(
      message(.internal) { try SafetensorsWriter.write([two], to: path) }
        == "\(path): tensor x of shape [2] was given 1 values")
    #expect(
      message(.internal) { try SafetensorsWriter.write([one, one], to: path) } == "\(path): tensor name x is taken")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old" && folder.names == ["a"])
    #expect(
      message(.internal) { try SafetensorsWriter.write([one], to: "/dev/full") }
        == "/dev/full: No space left on device")
  }
}

private let reference = """
  kAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJhIjoiYiJ9LCJzdGVwcyI6eyJkdHlwZSI6Ikk2NCIsInNoYXBlIjpbXSwiZGF0YV9v\
  ZmZzZXRzIjpbMCw4XX0sIndlaWdodCI6eyJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwyXSwiZGF0YV9vZmZzZXRzIjpbOCwxNl19\
  fSAHAAAAAAAAAAA8AEEAwv97
  """
