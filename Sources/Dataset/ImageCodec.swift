import CImageCodec
import Foundation
import Storage
import Tensors

/// JPEG and PNG files to `RGBImage`, and back to JPEG, through libjpeg and libpng. What is in a file decides, not its name.
///
/// The pixels equal those of Pillow's `ImageOps.exif_transpose(Image.open(path)).convert("RGB")`: inks and gray are made RGB,
/// alpha is dropped, and the Exif orientation is applied. Every error of reading is a `Failure.data("<path>: <reason>")`; a
/// file cut short or otherwise damaged is an error, even where the library would make up the rest of the picture.
package enum ImageCodec {
  /// Larger files are not images that fit `LINEUP_IMAGE_MAX_PIXELS`.
  package static let largestFile = 1 << 28

  /// Reads and decodes the file at `path`.
  package static func decode(path: String) throws -> RGBImage {
    try decode(bytes: read(path), path: path)
  }

  /// The bytes of an image file, damaged or not. What this throws is the system's reason why it cannot be read.
  package static func read(_ path: String) throws(Failure) -> [UInt8] {
    try InputFile.read(path, limit: largestFile)
  }

  /// Decodes an image in memory; `path` is for the errors.
  package static func decode(bytes: [UInt8], path: String) throws -> RGBImage {
    let (width, height) = try size(of: bytes, path: path)
    let decode = ImageSignature.isPNG(bytes) ? lineup_png_decode : lineup_jpeg_decode
    let count = width * height * 3
    let pixels = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      try check(path) { decode(bytes, bytes.count, buffer.baseAddress, count, $0) }
      initialized = count
    }
    let stored = RGBImage(width: width, height: height, pixels: pixels)
    return Orientation(ofFile: bytes).applied(to: stored)
  }

  /// The pixels of the lines and columns that the header of an image in memory tells, before it is turned upright.
  package static func size(of bytes: [UInt8], path: String) throws -> (width: Int, height: Int) {
    guard isImage(bytes) || bytes.isEmpty else {
      let start = bytes.prefix(4).map { String(format: "%02x", $0) }.joined(separator: " ")
      throw Failure.data(path, "neither a JPEG nor a PNG file: begins with \(start)")
    }
    let readHeader = ImageSignature.isPNG(bytes) ? lineup_png_read_header : lineup_jpeg_read_header
    var width: CInt = 0, height: CInt = 0
    try check(path) { readHeader(bytes, bytes.count, &width, &height, $0) }
    return (Int(width), Int(height))
  }

  /// Whether they begin as a JPEG or PNG file does.
  package static func isImage(_ bytes: [UInt8]) -> Bool { ImageSignature.isPNG(bytes) || ImageSignature.isJPEG(bytes) }

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
    try write(try encode(image, quality: quality, path: path), to: path)
  }

  /// The PNG of `image`; `path` is for the errors.
  package static func encodePNG(_ image: RGBImage, path: String) throws -> [UInt8] {
    // libpng's own bound.
    var length = image.pixels.count + image.pixels.count / 1000 + image.height * 6 + 4096
    return try [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
      try check(path) {
        lineup_png_encode(image.pixels, CInt(image.width), CInt(image.height), buffer.baseAddress, &length, $0)
      }
      initialized = length
    }
  }

  /// Writes `image` to the file at `path` as PNG, whole or not at all.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package static func writePNG(_ image: RGBImage, path: String) throws {
    try write(try encodePNG(image, path: path), to: path)
  }

  private static func write(_ bytes: [UInt8], to path: String) throws {
    try AtomicFiles.write(to: path, synced: false) { file in try bytes.withUnsafeBytes { try file.write($0) } }
  }

  /// The one door to the C functions: a status that is not OK becomes a `Failure` with the library's message.
  private static func check(_ path: String, _ call: (UnsafeMutablePointer<CChar>) -> CInt) throws {
    var message = [CChar](repeating: 0, count: Int(LINEUP_IMAGE_MESSAGE_BYTES))
    let status = message.withUnsafeMutableBufferPointer { call($0.baseAddress!) }
    guard status != CInt(LINEUP_IMAGE_OK) else { return }
    let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let kind: Failure.Kind = status == CInt(LINEUP_IMAGE_INTERNAL) ? .internal : .data
    throw Failure(kind, "\(path): \(text)")
  }
}
