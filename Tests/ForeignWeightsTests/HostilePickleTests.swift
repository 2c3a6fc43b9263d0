import ForeignWeights
import Foundation
import Tensors
import TestSupport
import Testing

/// Files that are made to do harm: each is one line that names the file, and takes little memory and time.
@Suite struct HostilePickleTests {
  private func expectRefused(
    _ bytes: [UInt8], _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try TemporaryFolder(), path = try folder.file("weights.pth")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let begin = ContinuousClock.now
    let said = message(.data) {
      for tensor in try ForeignFile(path: path).tensors { _ = try tensor.floats() }
    }
    #expect(begin.duration(to: .now) < .seconds(20), sourceLocation: sourceLocation)
    #expect(
      said?.contains(path) == true && said?.contains(reason) == true, "\(said ?? "accepted")",
      sourceLocation: sourceLocation)
    #expect(said?.contains("\n") == false, sourceLocation: sourceLocation)
  }

  private func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test func storagesThatDoNotHoldTheirTensor() throws {
    let cases: [([UInt8], String)] = [
      (Files.tensor(shape: [5]), "goes beyond its storage of 4 elements"),
      (Files.tensor(first: 1), "goes beyond its storage"),
      (Files.tensor(first: .max), "goes beyond its storage"),
      (Files.tensor(shape: [.max, .max], strides: [1, 1]), "goes beyond its storage"),
      (Files.tensor(shape: [2, 2], strides: [.max, 1]), "goes beyond its storage"),
      (Files.tensor(shape: [-4]), "has no shape and strides"),
      (Files.tensor(shape: [4], strides: [-1]), "has no shape and strides"),
      (Files.tensor(shape: [4], strides: [1, 1]), "has no shape and strides"),
      (Files.tensor(first: -1), "begins at no element"),
      (Files.tensor(key: "9"), "storage 9"),
      (Files.tensor(count: 5), "storage 0"),
      (Files.tensor(count: .max), "storage 0"),
      (Files.tensor(type: "DoubleStorage"), "storage 0"),
    ]
    for (tensor, reason) in cases {
      try expectRefused(Files.archive(Files.dictionary(tensor)), reason)
    }
    for (tensor, reason) in cases.dropLast(4) { try expectRefused(Files.legacy(Files.dictionary(tensor)), reason) }
    let good = Files.dictionary(Files.tensor())
    try expectRefused(Files.legacy(good, storages: [Files.little(UInt64.max)]), "ends behind the file")
    try expectRefused(Files.legacy(good, storages: [Files.little(UInt64(1) << 62)]), "ends behind the file")
    try expectRefused(Files.legacy(good, keys: ["0", "1"]), "storage 1 is no tensor's")
    try expectRefused(Files.legacy(good, keys: ["0", "0"]), "has storage 0 twice")
  }

  /// Small in the file and of any size: not read, and no reason to refuse the rest.
  @Test func whatIsExpandedIsLeft() throws {
    let folder = try TemporaryFolder(), path = try folder.file("weights.pth")
    for (shape, strides) in [([1 << 40], [0]), ([3, 4], [0, 1])] {
      try Data(Files.archive(Files.dictionary(Files.tensor(shape: shape, strides: strides))))
        .write(to: URL(fileURLWithPath: path))
      let file = try ForeignFile(path: path)
      #expect(file.tensors.isEmpty && file.others.map(\.what) == ["elements repeated by expand, which are not read"])
    }
  }

  @Test func pickleBombs() throws {
    // Lists in lists, a million deep; tuples; a list that doubles the one before; marks; numbers and texts that claim much.
    let deep =
      [UInt8](repeating: UInt8(ascii: "]"), count: 300_000) + [UInt8](repeating: UInt8(ascii: "a"), count: 299_999)
    try expectRefused(Files.legacy(deep, keys: []), "nested more than 64 deep")
    try expectRefused(
      Files.legacy(utf8(")") + [UInt8](repeating: 0x85, count: 500_000), keys: []), "nested more than 64 deep")
    let doubling = utf8("]") + (0..<60).flatMap { _ in utf8("q\u{1}0]h\u{1}ah\u{1}a") }
    let folder = try TemporaryFolder(), path = try folder.file("doubling.pth")
    try Data(Files.legacy(doubling, keys: [])).write(to: URL(fileURLWithPath: path))
    #expect(try ForeignFile(path: path).tensors.isEmpty)
    try expectRefused(Files.legacy([UInt8](repeating: UInt8(ascii: "]"), count: 2_000_000)), "more than 1048576")
    try expectRefused(Files.legacy([UInt8](repeating: UInt8(ascii: "("), count: 2_000_000)), "more than 1048576")
    try expectRefused(Files.legacy([UInt8](repeating: UInt8(ascii: "N"), count: 2_000_000)), "more than 1048576")
    try expectRefused(Files.legacy([0x8b] + Files.little(UInt32.max)), "truncated")
    try expectRefused(Files.legacy([0x8d] + Files.little(UInt64.max)), "truncated")
    try expectRefused(Files.legacy([0x8e] + Files.little(UInt64(Int.max))), "truncated")
  }

  @Test func whatHoldsItself() throws {
    try expectRefused(Files.legacy(utf8("]q\u{1}h\u{1}a"), keys: []), "holds itself")
    try expectRefused(Files.legacy(utf8("}q\u{1}") + Files.text("a") + utf8("h\u{1}s"), keys: []), "a holds itself")
    try expectRefused(Files.archive(utf8("]q\u{1}(h\u{1}ta")), "holds itself")
  }

  @Test func damagedPickles() throws {
    for (body, reason) in [
      ("0", "a value is missing"), ("t", "a mark is missing"), ("h\u{5}", "nothing was kept as number 5"),
      ("Na", "a value is missing"), ("NNa", "items of what holds none"), ("}(Nu", "a key without a value"),
      ("(NR", "a value is missing"), ("\u{7}", "byte 7"), ("(o", "an object of nothing"),
    ] { try expectRefused(Files.legacy(utf8(body)), reason) }
    try expectRefused(Files.legacy([0x93]), "a value is missing")
    try expectRefused(Files.legacy(utf8("NN") + [0x93]), "a global without a name")
    try expectRefused(Files.pickle(utf8("N")), "torch.save has not written")
    try expectRefused([], "no weights of PyTorch")
    try expectRefused([0x89, 0x48, 0x44, 0x46], "no weights of PyTorch")
  }

  /// Nothing is called, and nothing that a tensor does not need is missed.
  @Test func unknownGlobalsAreLeft() throws {
    let evil = utf8("cos\nsystem\n(") + Files.text("touch /tmp/evil") + utf8("tR")
    let folder = try TemporaryFolder(), path = try folder.file("a.pth")
    let body = utf8("}(") + Files.text("evil") + evil + Files.text("w") + Files.tensor() + utf8("u")
    try Data(Files.archive(body)).write(to: URL(fileURLWithPath: path))
    let file = try ForeignFile(path: path)
    #expect(file.tensors.map(\.name) == ["w"] && file.others.map(\.what) == ["os.system, which is not made"])
    let needed =
      utf8("ctorch._utils\n_rebuild_tensor_v2\n(") + evil + Files.integer(0) + Files.sizes([1]) + Files.sizes([1])
      + utf8("tR")
    try expectRefused(
      Files.archive(Files.dictionary(needed)), "tensor w is of no storage in this file, but of os.system")
  }

  @Test func archives() throws {
    let good = Files.pickle(Files.dictionary(Files.tensor())), storage = [UInt8](repeating: 0, count: 16)
    for name in ["../evil", "/etc/passwd", "archive/../../x", "a\\b"] {
      try expectRefused(Files.zip([("archive/data.pkl", good), (name, [1])]), "leads elsewhere")
    }
    let entries = [("archive/data.pkl", good), ("archive/data/0", storage)]
    try expectRefused(Files.zip(entries, claims: ["archive/data/0": 1 << 30]), "larger than the file")
    try expectRefused(Files.zip(entries, claims: ["archive/data/0": 17, "archive/data.pkl": 300]), "archive/data")
    try expectRefused(Files.zip(entries, flag: 1), "is encrypted")
    try expectRefused(Files.zip(entries + entries), "twice")
    try expectRefused(Files.zip([("a/b", [1])]), "torch.save has not written")
    try expectRefused(Files.zip(entries + [("archive/byteorder", utf8("big"))]), "big-endian")
    try expectRefused(Files.zip([("archive/data.pkl", good)]), "storage 0, which is not in the file")
    try expectRefused(Array(Files.zip(entries).dropLast(30)), "zip archive")
  }
}
