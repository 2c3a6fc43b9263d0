import Dataset
import Foundation
import Tensors
import Testing

@Suite struct ImageCodecTests {
  /// A 9 × 5 JPEG with halved chroma, made with Pillow, and the pixels that Pillow decodes from it.
  private static let file = """
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQ\
    YEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAFAAkD\
    ASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAQF/8QAGhAAAgIDAAAAAAAAAAAAAAAAAAQhoQYWUf/EABUBAQEAAAAAAAAAAAAAAAAAAAMF\
    /8QAGxEAAQUBAQAAAAAAAAAAAAAAAQADBAUTIjL/2gAMAwEAAhEDEQA/AKk8aRiKNHWkeUAR7WY/v6KCplv4Dor/2Q==
    """
  private static let pixels: [UInt8] = [
    0, 12, 214, 14, 14, 210, 39, 15, 197, 69, 14, 180, 100, 10, 157, 130, 10, 134, 158, 12, 113, 177, 14, 95, 195, 19,
    84, 12, 57, 221, 27, 59, 219, 54, 60, 208, 82, 59, 189, 115, 56, 166, 144, 54, 142, 172, 57, 122, 192, 59, 104, 209,
    64, 93, 13, 120, 214, 28, 122, 209, 55, 123, 198, 83, 122, 181, 115, 119, 157, 145, 118, 135, 173, 120, 114, 193,
    121, 96, 209, 128, 85, 18, 178, 210, 33, 181, 207, 60, 182, 195, 88, 180, 177, 121, 176, 153, 149, 176, 131, 178,
    177, 112, 198, 180, 94, 215, 186, 82, 21, 227, 206, 36, 229, 202, 64, 230, 192, 91, 228, 174, 124, 225, 149, 153,
    225, 126, 182, 225, 107, 202, 229, 90, 219, 234, 79,
  ]

  @Test func decodesThePixelsOfPillow() throws {
    let image = try ImageCodec.decode(bytes: [UInt8](Data(base64Encoded: Self.file)!), path: "golden.jpg")
    #expect(image == RGBImage(width: 9, height: 5, pixels: Self.pixels))
  }

  @Test(arguments: [(64, 128), (1, 1), (33, 17)])
  func writtenImagesComeBackAlmostEqual(width: Int, height: Int) throws {
    let image = smoothImage(width: width, height: height)
    try withFolder { folder in
      try ImageCodec.write(image, quality: 95, path: folder + "/a.jpg")
      let back = try ImageCodec.decode(path: folder + "/a.jpg")
      #expect(back.width == width && back.height == height)
      let worst = zip(image.pixels, back.pixels).map { abs(Int($0) - Int($1)) }.max()!
      #expect(worst <= 12)
    }
  }

  @Test func lowerQualityIsSmaller() throws {
    let image = formulaImage(width: 64, height: 64)
    let small = try ImageCodec.encode(image, quality: 20, path: "")
    let large = try ImageCodec.encode(image, quality: 95, path: "")
    // More than the first 16 KB of the output buffer, so that it has grown.
    #expect(small.count * 2 < large.count)
    let big = formulaImage(width: 400, height: 300)
    let bytes = try ImageCodec.encode(big, quality: 95, path: "")
    #expect(bytes.count > 40_000 && bytes.suffix(2) == [0xFF, 0xD9])
    #expect(try ImageCodec.decode(bytes: bytes, path: "").width == 400)
  }

  @Test func everyTruncationIsAnError() throws {
    let whole = try ImageCodec.encode(formulaImage(width: 24, height: 16), quality: 90, path: "")
    for count in 1..<whole.count {
      let error = failure { _ = try ImageCodec.decode(bytes: Array(whole[..<count]), path: "cut.jpg") }
      #expect(error.kind == .data && error.message.hasPrefix("cut.jpg: "))
    }
    let half = failure { _ = try ImageCodec.decode(bytes: Array(whole[..<(whole.count * 3 / 4)]), path: "cut.jpg") }
    #expect(half.message == "cut.jpg: Premature end of JPEG file")
  }

  @Test func damagedDataIsAnError() throws {
    var bytes = try ImageCodec.encode(formulaImage(width: 64, height: 64), quality: 90, path: "")
    for index in (bytes.count / 2)..<(bytes.count / 2 + 40) { bytes[index] = 0xFF }
    let error = failure { _ = try ImageCodec.decode(bytes: bytes, path: "bad.jpg") }
    #expect(error.kind == .data && error.message.hasPrefix("bad.jpg: Corrupt JPEG data"))
  }

  @Test func otherFilesAreErrorsThatNameThem() throws {
    try withFolder { folder in
      try put("hello", folder + "/text.jpg")
      try put("", folder + "/empty.jpg")
      let text = failure { _ = try ImageCodec.decode(path: folder + "/text.jpg") }
      #expect(text.kind == .data)
      #expect(text.message == "\(folder)/text.jpg: neither a JPEG nor a PNG file: begins with 68 65 6c 6c")
      let empty = failure { _ = try ImageCodec.decode(path: folder + "/empty.jpg") }
      #expect(empty.message == "\(folder)/empty.jpg: Empty input file")
      let missing = failure { _ = try ImageCodec.decode(path: folder + "/none.jpg") }
      #expect(missing.kind == .data && missing.message == "\(folder)/none.jpg: No such file or directory")
      let isFolder = failure { _ = try ImageCodec.decode(path: folder) }
      #expect(isFolder.message == "\(folder): Is a directory")
      let unwritable = failure { try ImageCodec.write(smoothImage(width: 2, height: 2), quality: 90, path: folder) }
      #expect(unwritable.kind == .internal && unwritable.message.hasPrefix(folder + ": "))
    }
  }

  @Test func hugeImagesAreRefusedByTheirHeader() {
    let bytes = header(width: 20000, height: 20000, components: 3)
    let error = failure { _ = try ImageCodec.decode(bytes: bytes, path: "huge.jpg") }
    #expect(error.kind == .data)
    #expect(error.message == "huge.jpg: 20000 x 20000 pixels, and more than 100000000 are refused")
  }

  @Test func otherChannelsAreRefused() {
    let pair = header(width: 8, height: 8, components: 2)
    let two = failure { _ = try ImageCodec.decode(bytes: pair, path: "two.jpg") }
    #expect(two.message == "two.jpg: an image of 2 unknown channels; only gray, RGB and CMYK are read")
  }

  @Test func grayBecomesRGBAndManyScansAreRefused() throws {
    let gray = try ImageCodec.decode(bytes: progressiveGray(scans: 400), path: "")
    #expect(gray == RGBImage(width: 8, height: 8, pixels: Array(repeating: 128, count: 192)))
    let error = failure { _ = try ImageCodec.decode(bytes: progressiveGray(scans: 600), path: "scans.jpg") }
    #expect(error.kind == .data && error.message == "scans.jpg: more than 500 scans, which is refused")
  }

  /// A baseline file as far as its first scan.
  private func header(width: Int, height: Int, components: Int) -> [UInt8] {
    var bytes: [UInt8] = [0xFF, 0xD8, 0xFF, 0xC0, 0, UInt8(8 + 3 * components), 8]
    bytes += [UInt8(height >> 8), UInt8(height & 255), UInt8(width >> 8), UInt8(width & 255), UInt8(components)]
    for component in 1...components { bytes += [UInt8(component), 0x11, 0] }
    bytes += [0xFF, 0xDA, 0, UInt8(6 + 2 * components), UInt8(components)]
    for component in 1...components { bytes += [UInt8(component), 0] }
    return bytes + [0, 63, 0]
  }

  /// A valid 8 × 8 progressive file: a scan for the mean, then each coefficient bit by bit, all of it zero.
  private func progressiveGray(scans: Int) -> [UInt8] {
    var bytes: [UInt8] = [0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0] + Array(repeating: 1, count: 64)
    bytes += [0xFF, 0xC2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]
    // One code of one bit, for the symbol 0: "no difference", "rest of the block is zero".
    for table: UInt8 in [0x00, 0x10] {
      bytes += [0xFF, 0xC4, 0, 20, table, 1] + Array(repeating: 0, count: 15) + [0]
    }
    func scan(_ coefficient: Int, _ bits: Int) {
      bytes += [0xFF, 0xDA, 0, 8, 1, 1, 0, UInt8(coefficient), UInt8(coefficient), UInt8(bits), 0x7F]
    }
    scan(0, 0)
    for index in 0..<(scans - 1) {
      let coefficient = index / 14 + 1, step = index % 14
      // High nibble: the bit known so far (0 in the first scan); low: the bit that this scan brings.
      scan(coefficient, step == 0 ? 13 : (14 - step) << 4 | (13 - step))
    }
    return bytes + [0xFF, 0xD9]
  }
}
