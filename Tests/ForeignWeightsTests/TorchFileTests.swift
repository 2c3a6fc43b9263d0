import ForeignWeights
import Foundation
import Tensors
import TestSupport
import Testing

/// Files that PyTorch has written (Benchmarks/reference/weight_files.py), in all its kinds.
@Suite struct TorchFileTests {
  private static let files = ["zip.pth", "protocol4.pth", "deflated.pth", "legacy.pth", "legacy4.pth"]

  @Test(arguments: files) func everyTensorIsRead(_ name: String) throws {
    let file = try ForeignFile(path: Files.corpus("pth/\(name)"))
    #expect(file.kind == (name.hasPrefix("legacy") ? .torchLegacy : .torch))
    let tensors = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0) })
    func expect(_ name: String, _ type: ElementType, _ shape: [Int], _ values: [Double]) throws {
      let tensor = try #require(tensors["state_dict.\(name)"])
      #expect(tensor.type == type && tensor.shape == shape)
      #expect(try tensor.doubles() == values, "\(name)")
      #expect(try tensor.floats() == values.map(Float.init), "\(name)")
    }
    // A transposed view, one with an offset, and one with both an offset and gaps.
    try expect("module.conv1.weight", .float32, [4, 3], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    try expect("module.bn1.weight", .float32, [4], [1.25, 1.5, 1.75, 2])
    try expect("module.bn1.bias", .float32, [2, 3], [1.5, 2, 2.5, 3, 3.5, 4])
    try expect("module.bn1.num_batches_tracked", .int64, [], [7])
    try expect("double", .float64, [1, 2], [1e-300, -2.5])
    try expect("half", .float16, [2], [0.5, -65504])
    try expect("brain", .bfloat16, [2], [1.5, Double(Float(bitPattern: 0xFF62_0000))])
    try expect("parameter", .float32, [1], [3])
    try expect("empty", .float32, [0, 3], [])
    #expect(file.tensors.count == 9)
    let others = Dictionary(uniqueKeysWithValues: file.others.map { ($0.name, $0.what) })
    #expect(others["epoch"] == "the number 12" && others["history"] == "a list of 2")
    #expect(others["args"] == "argparse.Namespace, which is not made")
    #expect(others["best"]?.hasSuffix(".multiarray.scalar, which is not made") == true)
  }

  @Test(arguments: files) func cutShortItIsRefused(_ name: String) throws {
    let whole = try Data(contentsOf: URL(fileURLWithPath: Files.corpus("pth/\(name)")))
    let folder = try TemporaryFolder(), path = try folder.file("cut.pth")
    // An archive tells twice where its list is, in its last 98 bytes; one place is enough.
    for count in stride(from: 1, to: whole.count - 98, by: 37) {
      try whole.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(message(.data) { _ = try ForeignFile(path: path) }?.hasPrefix(path) == true, "\(count) bytes")
    }
  }

  /// A storage that is damaged is noticed by its sum.
  @Test func aDamagedStorageIsRefused() throws {
    let folder = try TemporaryFolder(), path = try folder.file("a.pth")
    var bytes = Files.archive(Files.dictionary(Files.tensor()), storage: Array(1...16))
    let place = try #require(bytes.indices.first { Array(bytes[$0...].prefix(4)) == [1, 2, 3, 4] })
    bytes[place] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let file = try ForeignFile(path: path)
    #expect(
      message(.data) { _ = try file.tensors[0].floats() }
        == "\(path): entry archive/data/0 is damaged: its check sum is another")
  }

  @Test func modulesAreGoneThrough() throws {
    // An object of a class, whose state is a dictionary of dictionaries.
    func object(_ state: [UInt8]) -> [UInt8] {
      Array("cmodels\nNet\n)\u{81}".unicodeScalars.map { UInt8($0.value) }) + state + Array("b".utf8)
    }
    let inner = object(Files.dictionary(Files.dictionary(Files.tensor(), "weight"), "_parameters"))
    let body = object(Files.dictionary(Files.dictionary(inner, "conv1"), "_modules"))
    let folder = try TemporaryFolder(), path = try folder.file("a.pth")
    try Data(Files.legacy(body)).write(to: URL(fileURLWithPath: path))
    let file = try ForeignFile(path: path)
    #expect(file.tensors.map(\.name) == ["conv1.weight"])
    #expect(try file.tensors[0].floats() == [1, 2, 3, 4])
  }
}
