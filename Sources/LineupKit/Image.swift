import Dataset

/// An image in memory.
public struct Image: Sendable {
  let pixels: RGBImage

  public var width: Int { pixels.width }
  public var height: Int { pixels.height }

  /// - Parameter rgb: height × width × 3 bytes: red, green, blue.
  /// - Throws: `LineupError` of kind `usage` where these are not as many, or none.
  public init(width: Int, height: Int, rgb: [UInt8]) throws(LineupError) {
    guard width > 0, height > 0, width.multipliedReportingOverflow(by: height).overflow == false,
      width * height <= Self.mostPixels, rgb.count == width * height * 3
    else {
      throw LineupError(.usage, "an image of \(width)×\(height) pixels does not have \(rgb.count) bytes of RGB")
    }
    pixels = RGBImage(width: width, height: height, pixels: rgb)
  }

  /// Reads a JPEG or PNG file; its pixels are those of Pillow, turned as its Exif orientation says.
  public init(file path: String) throws(LineupError) {
    pixels = try LineupError.wrapping { try ImageCodec.decode(path: path) }
  }

  /// Decodes a JPEG or PNG file in memory; `name` is what errors call it.
  public init(encoded bytes: [UInt8], name: String = "image") throws(LineupError) {
    pixels = try LineupError.wrapping { try ImageCodec.decode(bytes: bytes, path: name) }
  }

  /// As of files.
  private static var mostPixels: Int { 100_000_000 }
}
