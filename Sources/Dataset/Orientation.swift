/// How a camera was held: the orientation 1...8 of Exif (JEITA CP-3451, tag 0x0112), and the image upright again.
package enum Orientation: Int, Sendable {
  case upright = 1, mirrored, upsideDown, upsideDownMirrored, transposed, onItsLeft, transverse, onItsRight

  /// That of a JPEG's Exif segment or a PNG's `eXIf` chunk; upright where there is none, or what it says is not understood.
  package init(ofFile bytes: [UInt8]) {
    let exif = ImageSignature.isPNG(bytes) ? Self.chunk(bytes) : Self.segment(bytes)
    self = exif.flatMap(Self.tag).flatMap(Orientation.init) ?? .upright
  }

  /// `image` as it was seen, as Pillow's `ImageOps.exif_transpose` turns it.
  package func applied(to image: RGBImage) -> RGBImage {
    if self == .upright { return image }
    let right = 3, down = image.width * 3
    let lastColumn = (image.width - 1) * right, lastRow = (image.height - 1) * down
    // Where the first pixel comes from, and where the next one in its row and in its column.
    let (start, x, y) =
      switch self {
      case .upright: (0, right, down)
      case .mirrored: (lastColumn, -right, down)
      case .upsideDown: (lastRow + lastColumn, -right, -down)
      case .upsideDownMirrored: (lastRow, right, -down)
      case .transposed: (0, down, right)
      case .onItsLeft: (lastRow, -down, right)
      case .transverse: (lastRow + lastColumn, -down, -right)
      case .onItsRight: (lastColumn, down, -right)
      }
    let turns = rawValue >= Self.transposed.rawValue
    let width = turns ? image.height : image.width, height = turns ? image.width : image.height
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { output, initialized in
      image.pixels.withUnsafeBufferPointer { input in
        var target = 0
        for row in 0..<height {
          var source = start + row * y
          for _ in 0..<width {
            for channel in 0..<3 { output[target + channel] = input[source + channel] }
            target += 3
            source += x
          }
        }
      }
      initialized = width * height * 3
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  // MARK: - Where it stands

  /// What follows `Exif\0\0` in the first such APP1 segment before the first scan.
  private static func segment(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var place = 2
    while place + 4 <= bytes.count, bytes[place] == 0xFF {
      let marker = bytes[place + 1]
      if marker == 0xFF {
        place += 1
        continue
      }
      if marker == 0xDA || marker == 0xD9 { return nil }
      let end = place + 2 + number(bytes[(place + 2)..<(place + 4)], isLittle: false)
      let content = place + 4
      if marker == 0xE1, content <= end, end <= bytes.count, bytes[content..<end].starts(with: Array("Exif\0\0".utf8)) {
        return bytes[(content + 6)..<end]
      }
      place = max(end, content)
    }
    return nil
  }

  private static func chunk(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var place = ImageSignature.png.count
    while place + 12 <= bytes.count {
      let end = place + 8 + number(bytes[place..<(place + 4)], isLittle: false)
      if end > bytes.count { return nil }
      if bytes[(place + 4)..<(place + 8)].elementsEqual("eXIf".utf8) { return bytes[(place + 8)..<end] }
      place = end + 4
    }
    return nil
  }

  /// The value of the tag in the first directory of a TIFF header.
  private static func tag(_ exif: ArraySlice<UInt8>) -> Int? {
    let base = exif.startIndex
    func bytes(_ place: Int, _ count: Int) -> ArraySlice<UInt8>? {
      place + count <= exif.count ? exif[(base + place)..<(base + place + count)] : nil
    }
    guard let head = bytes(0, 4) else { return nil }
    let isLittle = head.elementsEqual([0x49, 0x49, 42, 0])
    guard isLittle || head.elementsEqual([0x4D, 0x4D, 0, 42]) else { return nil }
    func value(_ place: Int, _ count: Int) -> Int? { bytes(place, count).map { number($0, isLittle: isLittle) } }
    guard let directory = value(4, 4), let entries = value(directory, 2) else { return nil }
    for entry in 0..<entries {
      let place = directory + 2 + 12 * entry
      guard let name = value(place, 2), let type = value(place + 2, 2), let count = value(place + 4, 4) else {
        return nil
      }
      guard name == 0x0112 else { continue }
      // A short or a long, one of them.
      return count == 1 && (type == 3 || type == 4) ? value(place + 8, type == 3 ? 2 : 4) : nil
    }
    return nil
  }

  private static func number(_ bytes: ArraySlice<UInt8>, isLittle: Bool) -> Int {
    isLittle ? bytes.reversed().reduce(0) { $0 << 8 | Int($1) } : bytes.reduce(0) { $0 << 8 | Int($1) }
  }
}
