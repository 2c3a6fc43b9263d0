import Dataset
import Foundation
import Tensors
import Testing

@Suite struct ImageKindTests {
  private struct Kind {
    let name: String, bytes: [UInt8], size: String, digest: String
  }

  /// Files of every kind, 5 × 9, and digests of the pixels that Pillow makes of them
  /// (`python Benchmarks/reference/image_kinds.py FOLDER`).
  private static func kinds() throws -> [Kind] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("ImageKinds.txt")
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { line in
      let fields = line.split(separator: " ").map(String.init)
      return Kind(
        name: fields[0], bytes: [UInt8](Data(base64Encoded: fields[1])!), size: fields[2], digest: fields[3])
    }
  }

  @Test func everyKindHasThePixelsOfPillow() throws {
    let kinds = try Self.kinds()
    #expect(kinds.count == 56)
    for kind in kinds {
      let image = try ImageCodec.decode(bytes: kind.bytes, path: kind.name)
      #expect("\(image.width)x\(image.height)" == kind.size, "\(kind.name)")
      #expect(digest(image.pixels) == kind.digest, "\(kind.name)")
    }
  }

  /// Where each orientation has the pixel that is seen at (x, y), of an image seen as `width` × `height` (Exif 2.3, 4.6.4 A).
  @Test func orientationsAreAsExifDefinesThem() {
    let (width, height) = (3, 5)
    let seen = formulaImage(width: width, height: height)
    let places: [(Int, Int) -> (row: Int, column: Int)] = [
      { x, y in (y, x) }, { x, y in (y, width - 1 - x) }, { x, y in (height - 1 - y, width - 1 - x) },
      { x, y in (height - 1 - y, x) }, { x, y in (x, y) }, { x, y in (width - 1 - x, y) },
      { x, y in (width - 1 - x, height - 1 - y) }, { x, y in (x, height - 1 - y) },
    ]
    for (index, place) in places.enumerated() {
      let turns = index >= 4, stored = (width: turns ? height : width, height: turns ? width : height)
      var pixels = [UInt8](repeating: 0, count: seen.pixels.count)
      for y in 0..<height {
        for x in 0..<width {
          let (row, column) = place(x, y)
          for c in 0..<3 { pixels[(row * stored.width + column) * 3 + c] = seen.pixels[(y * width + x) * 3 + c] }
        }
      }
      let image = RGBImage(width: stored.width, height: stored.height, pixels: pixels)
      #expect(Orientation(rawValue: index + 1)!.applied(to: image) == seen, "orientation \(index + 1)")
    }
  }

  @Test func orientationsThatMakeNoSenseAreNone() throws {
    let kinds = try Self.kinds(), file = kinds.first { $0.name == "orientation-6.jpg" }!.bytes
    #expect(Orientation(ofFile: file) == .onItsLeft)
    let tag = file.indices.first { file[$0...].starts(with: [0x12, 0x01]) || file[$0...].starts(with: [0x01, 0x12]) }!
    for (place, value) in [(8, 0), (8, 9), (9, 1), (2, 7), (4, 2), (-20, 0), (-24, 0x58)] as [(Int, UInt8)] {
      var bytes = file
      bytes[tag + place] = value
      #expect(Orientation(ofFile: bytes).rawValue <= 8)
      #expect(try ImageCodec.decode(bytes: bytes, path: "").pixels.count == 5 * 9 * 3)
    }
    #expect(Orientation(ofFile: []) == .upright && Orientation(ofFile: [0xFF, 0xD8, 0xFF]) == .upright)
    for count in 0..<file.count { _ = Orientation(ofFile: Array(file[..<count])) }
    let png = kinds.first { $0.name == "orientation-6.png" }!.bytes
    for count in 0..<png.count { _ = Orientation(ofFile: Array(png[..<count])) }
  }

  @Test func everyTruncationOfAPNGIsAnError() throws {
    for kind in try Self.kinds() where kind.name.hasSuffix(".png") {
      for count in 1..<kind.bytes.count {
        let error = failure { _ = try ImageCodec.decode(bytes: Array(kind.bytes[..<count]), path: "cut.png") }
        #expect(error.kind == .data && error.message.hasPrefix("cut.png: "))
      }
    }
    let whole = try Self.kinds().first { $0.name == "colour-8.png" }!.bytes
    let half = failure { _ = try ImageCodec.decode(bytes: Array(whole[..<(whole.count / 2)]), path: "cut.png") }
    #expect(half.message == "cut.png: Premature end of PNG file")
  }

  @Test func damagedAndHugePNGsAreErrors() throws {
    let whole = try Self.kinds().first { $0.name == "colour-8.png" }!.bytes
    var bytes = whole
    bytes[whole.count - 15] ^= 1
    let damaged = failure { _ = try ImageCodec.decode(bytes: bytes, path: "bad.png") }
    #expect(damaged.kind == .data && damaged.message == "bad.png: IDAT: CRC error")
    // A header of 20000 × 20000, with its sum (`zlib.crc32`).
    bytes = whole
    bytes.replaceSubrange(16..<24, with: [0, 0, 0x4E, 0x20, 0, 0, 0x4E, 0x20])
    bytes.replaceSubrange(29..<33, with: [0x6C, 0x12, 0xD1, 0x6E])
    let huge = failure { _ = try ImageCodec.decode(bytes: bytes, path: "huge.png") }
    #expect(huge.kind == .data)
    #expect(huge.message == "huge.png: 20000 x 20000 pixels, and more than 100000000 are refused")
  }

  /// The content decides, not the name.
  @Test func namesDoNotMatter() throws {
    try withFolder { folder in
      let kinds = try Self.kinds(), png = kinds.first { $0.name == "colour-8.png" }!
      try Data(png.bytes).write(to: URL(fileURLWithPath: folder + "/a.jpg"))
      #expect(digest(try ImageCodec.decode(path: folder + "/a.jpg").pixels) == png.digest)
    }
  }
}
