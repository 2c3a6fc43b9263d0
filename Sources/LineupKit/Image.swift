import Dataset

/// An image in memory.
public struct Image: Sendable {
  let pixels: RGBImage

  public var width: Int { pixels.width }
  public var height: Int { pixels.height }

  /// - Parameter rgb: height × width × 3 bytes: red, green, blue.
  /// - Throws: `LineupError` of kind `usage` where these are not as many, or none.
  public init(width: Int, height: Int, rgb: [UInt8]) throws(LineupError) {
    guard width > 0, height > 0 else { throw LineupError(.usage, "an image of \(width)×\(height) pixels has none") }
    let (area, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, area <= Self.mostPixels else {
      throw LineupError(.usage, "an image of \(width)×\(height) pixels; \(Self.mostPixels) are taken at most")
    }
    guard rgb.count == 3 * area else {
      throw LineupError(.usage, "an image of \(width)×\(height) pixels has \(3 * area) bytes of RGB, not \(rgb.count)")
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
  public static var mostPixels: Int { 100_000_000 }
}
