import ForeignWeights
import Foundation
import Tensors
import TestSupport
import Testing

/// Initializers of models.
@Suite struct ONNXFileTests {
  @Test func everyInitializerIsRead() throws {
    let file = try ForeignFile(path: Files.corpus("onnx/tiny.onnx"))
    #expect(file.kind == .onnx)
    let found = try file.tensors.map { "\($0.name) \($0.type) \($0.shape) \(try $0.doubles())" }
    #expect(
      found == [
        "conv1.weight float32 [2, 3] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]", "bn1.weight float32 [3] [1.0, -2.5, 0.25]",
        "half float16 [2] [0.5, -2.0]", "shape int64 [2] [-1.0, 1099511627776.0]", "bytes int8 [2] [-3.0, 4.0]",
        "double float64 [1] [1e-300]",
      ])
  }

  private func varint(_ number: UInt64) -> [UInt8] {
    number < 0x80 ? [UInt8(number)] : [UInt8(number & 0x7f) | 0x80] + varint(number >> 7)
  }

  private func field(_ number: UInt64, _ value: UInt64) -> [UInt8] { varint(number << 3) + varint(value) }

  private func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(bytes.count)) + bytes
  }

  /// A model of one tensor w, of two floats unless told otherwise.
  private func expectRefused(
    _ reason: String, lengths: [Int64] = [2], type: UInt64 = 1, also: [UInt8] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let dims = field(1, lengths.flatMap { varint(UInt64(bitPattern: $0)) })
    let tensor = dims + field(2, type) + field(8, Array("w".utf8)) + field(9, [UInt8](repeating: 0, count: 8)) + also
    try expectRefused(field(1, 8) + field(7, field(5, tensor)), reason, sourceLocation: sourceLocation)
  }

  private func expectRefused(
    _ bytes: [UInt8], _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try TemporaryFolder(), path = try folder.file("model.onnx")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let said = message(.data) { _ = try ForeignFile(path: path) }
    #expect(
      said?.hasPrefix(path) == true && said?.contains(reason) == true, "\(said ?? "accepted")",
      sourceLocation: sourceLocation)
  }

  @Test func whatIsNotReadIsNamed() throws {
    try expectRefused("tensor w is in another file", also: field(14, 1))
    try expectRefused("tensor w is in another file", also: field(13, []))
    try expectRefused("tensor w has elements of ONNX's type 8", type: 8)
    try expectRefused("tensor w of shape [3] has 8 bytes", lengths: [3])
    try expectRefused("tensor w has a length of -1", lengths: [-1])
    try expectRefused("tensor w of shape [9223372036854775807, 9223372036854775807]", lengths: [.max, .max])
    try expectRefused("more than 1024", lengths: [Int64](repeating: 1, count: 4000))
    try expectRefused("it is no tensor of ONNX", also: field(4, [1, 2, 3]))
    try expectRefused([0x3a, 0x7f, 0x2a], "truncated")
    try expectRefused([0x08, 0x08], "it has 0 graphs")
    try expectRefused([0x3a, 0x00, 0x3a, 0x00], "it has 2 graphs")
    try expectRefused([0x3a] + [UInt8](repeating: 0xff, count: 9) + [0x01], "truncated")
    try expectRefused([UInt8](repeating: 0xff, count: 12), "a number without an end")
    try expectRefused([0x00], "begins no field")
    // A hundred thousand initializers of nothing.
    let many = [UInt8](repeating: 0, count: 200_000).enumerated().map { $0.offset % 2 == 0 ? UInt8(0x2a) : 0 }
    try expectRefused([0x3a, 0xc0, 0x9a, 0x0c] + many, "100000 initializers")
  }
}
