import CImageCodec
import Storage
import Tensors

/// An image in memory: `pixels` is [height][width][3], red, green, blue, 0...255.
package struct RGBImage: Sendable, Equatable {
  package let width: Int, height: Int
  package var pixels: [UInt8]

  /// `pixels` must have `width * height * 3` values.
  package init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height * 3)
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Left and right exchanged, as for the second pass of flip-averaged features.
  package func mirrored() -> RGBImage {
    var result = self
    Mirror.rows(&result.pixels, width: width)
    return result
  }
}

/// JPEG files to `RGBImage` and back, through libjpeg; the pixels equal those that Pillow decodes.
///
/// Every error of reading is a `Failure.data("<path>: <reason>")`; a file cut short or otherwise damaged is an error, even
/// where libjpeg would make up the rest of the picture. The Exif orientation is not applied.
package enum ImageCodec {
  /// Larger files are not images that fit `LINEUP_JPEG_MAX_PIXELS`.
  package static let largestFile = 1 << 28

  /// Reads and decodes the JPEG file at `path`.
  package static func decode(path: String) throws -> RGBImage {
    try decode(bytes: read(path), path: path)
  }

  /// The bytes of an image file, damaged or not. What this throws is the system's reason why it cannot be read.
  package static func read(_ path: String) throws(Failure) -> [UInt8] {
    try InputFile.read(path, limit: largestFile)
  }

  /// Decodes a JPEG in memory; `path` is for the errors.
  package static func decode(bytes: [UInt8], path: String) throws -> RGBImage {
    var width: CInt = 0, height: CInt = 0
    try check(path) { lineup_jpeg_read_header(bytes, bytes.count, &width, &height, $0) }
    let count = Int(width) * Int(height) * 3
    let pixels = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      try check(path) { lineup_jpeg_decode(bytes, bytes.count, buffer.baseAddress, count, $0) }
      initialized = count
    }
    return RGBImage(width: Int(width), height: Int(height), pixels: pixels)
  }

  /// The JPEG of `image` at `quality` 1...100; `path` is for the errors.
  package static func encode(_ image: RGBImage, quality: Int, path: String) throws -> [UInt8] {
    var bytes: UnsafeMutablePointer<UInt8>?
    var length = 0
    try check(path) {
      lineup_jpeg_encode(image.pixels, CInt(image.width), CInt(image.height), CInt(quality), &bytes, &length, $0)
    }
    defer { lineup_jpeg_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: length))
  }

  /// Writes `image` to the file at `path` as JPEG of `quality` 1...100, whole or not at all.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package static func write(_ image: RGBImage, quality: Int, path: String) throws {
    let bytes = try encode(image, quality: quality, path: path)
    try AtomicFiles.write(to: path, synced: false) { file in try bytes.withUnsafeBytes { try file.write($0) } }
  }

  /// The one door to the C functions: a status that is not OK becomes a `Failure` with libjpeg's message.
  private static func check(_ path: String, _ call: (UnsafeMutablePointer<CChar>) -> CInt) throws {
    var message = [CChar](repeating: 0, count: Int(LINEUP_JPEG_MESSAGE_BYTES))
    let status = message.withUnsafeMutableBufferPointer { call($0.baseAddress!) }
    guard status != CInt(LINEUP_JPEG_OK) else { return }
    let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let kind: Failure.Kind = status == CInt(LINEUP_JPEG_INTERNAL) ? .internal : .data
    throw Failure(kind, "\(path): \(text)")
  }
}
