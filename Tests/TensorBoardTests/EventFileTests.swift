import Foundation
import Storage
import TensorBoard
import Tensors
import TestSupport
import Testing

@Suite struct EventFileTests {
  private func bytes(_ hex: String) -> [UInt8] {
    stride(from: 0, to: hex.count, by: 2).map { place in
      UInt8(hex.dropFirst(place).prefix(2), radix: 16)!
    }
  }

  /// What TensorBoard's own writer (2.21, `tensorboard.summary.writer.record_writer`) makes of these events.
  @Test func recordsAreThoseOfTensorBoard() {
    func record(_ step: Int, _ time: Double, _ content: Event.Content) -> [UInt8] {
      EventRecord.framed(Event(step: step, time: time, content: content).message)
    }
    #expect(
      record(0, 1.5, .version)
        == bytes("1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"))
    #expect(record(41, 2.5, .start) == bytes("0f000000000000006d532b0909000000000000044010293a0208016b44df34"))
    let values: [EventValue] = [
      .scalar("train/loss", 2.25), .scalar("train/ü", 0),
      .image("test/ranked", png: Array("PNG\0".utf8) + [0xff], width: 3, height: 2),
    ]
    #expect(
      record(300, 3.5, .summary(values))
        == bytes(
          "5000000000000000940f9b82090000000000000c4010ac022a420a110a0a747261696e2f6c6f737315000010400a0f0a08747261696e"
            + "2fc3bc15000000000a1c0a0b746573742f72616e6b6564220d0802100318032205504e4700ff82d4ac90"))
  }

  /// The check value of CRC-32C (RFC 3720's polynomial), e3069283, masked.
  @Test func theSumIsCRC32C() {
    let sum = Array("123456789".utf8).withUnsafeBytes { EventRecord.maskedSum($0) }
    let check: UInt32 = 0xe306_9283
    #expect(sum == (check >> 15 | check << 17) &+ 0xa282_ead8)
  }

  @Test func aFileIsCutToItsWholeRecords() throws {
    let folder = try TemporaryFolder()
    let first = EventRecord.framed(Array("one".utf8)), both = first + EventRecord.framed(Array("two and more".utf8))
    func content(_ bytes: [UInt8]) throws -> EventRecord.Content {
      let path = try folder.file("records")
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      return try EventRecord.content(of: try InputFile(path))
    }
    #expect(try content(both) == .whole(both.count))
    #expect(try content([]) == .whole(0))
    for length in first.count + 1..<both.count { #expect(try content(Array(both[..<length])) == .torn(first.count)) }
    for place in both.indices {
      var wrong = both
      wrong[place] ^= 0x40
      // A length that is wrong is known by its own sum.
      #expect(try content(wrong) == .damaged, "byte \(place)")
    }
  }

  @Test func aRunGoesOnInItsFile() throws {
    let folder = try TemporaryFolder(), events = "\(folder.path)/tensorboard"
    func size(_ file: EventFile) throws -> Int { try #require(InputFile.size(file.path)) }
    let first = try EventFile(in: events, from: 0)
    try first.append(1, [.scalar("a", 1)])
    try first.append(2, [])
    let whole = try size(first)
    try first.append(2, [.scalar("a", 2)])
    #expect(truncate(first.path, off_t(try size(first) - 1)) == 0)
    let second = try EventFile(in: events, from: 2)
    #expect(second.path == first.path)
    // A start at step 2 in the place of the torn record: head, time, step, and the session with its status.
    #expect(try size(second) == whole + 12 + 9 + 2 + 4 + 4)
    #expect(try EventRecord.content(of: try InputFile(second.path)) == .whole(try size(second)))
  }

  /// What is no event file is left alone.
  @Test func aDamagedFileStays() throws {
    let folder = try TemporaryFolder()
    for junk in ["junk that is longer than a head", "x"] {
      let path = try folder.file("events.out.tfevents.1.other.1", junk)
      let file = try EventFile(in: folder.path, from: 5)
      #expect(try file.path != path && InputFile.text(path) == junk)
      #expect(try EventRecord.content(of: try InputFile(file.path)) == .whole(40 + 31))
      try FileManager.default.removeItem(atPath: file.path)
    }
  }

  @Test func pointsOfTheProjector() throws {
    let folder = try TemporaryFolder()
    let table = ProjectorFolder.Table(columns: ["identity", "image"], rows: [["1", "a\tb.jpg"], ["2", "c\nd.jpg"]])
    try ProjectorFolder(folder.path).write(
      name: "market \"one\"", vectors: [1, 2, 3, 4, 5, 6], table,
      sprite: .init(png: [1, 2, 3], width: 32, height: 64))
    let configuration = try InputFile.text("\(folder.path)/projector_config.pbtxt")
    #expect(configuration.contains("tensor_name: \"market \\\"one\\\"\"\n"))
    #expect(configuration.contains("  tensor_shape: 2\n  tensor_shape: 3\n"))
    #expect(configuration.contains("    single_image_dim: 32\n    single_image_dim: 64\n  }\n}\n"))
    #expect(try InputFile.text("\(folder.path)/projector/labels.tsv") == "identity\timage\n1\ta b.jpg\n2\tc d.jpg\n")
    let vectors = try InputFile.read("\(folder.path)/projector/features.bytes")
    #expect(vectors.count == 24 && Array(vectors[20...]) == [0, 0, 0xc0, 0x40])
    #expect(try InputFile.read("\(folder.path)/projector/sprite.png") == [1, 2, 3])
    // One without pictures names none.
    try ProjectorFolder(folder.path).write(name: "b", vectors: [1, 2], table, sprite: nil)
    #expect(try !InputFile.text("\(folder.path)/projector_config.pbtxt").contains("sprite"))
  }
}
