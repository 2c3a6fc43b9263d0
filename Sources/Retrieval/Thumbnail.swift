import Dataset

/// Pictures to look at.
package enum Thumbnail {
  /// The image as JPEG, no higher than `height` and no wider than twice that.
  package static func jpeg(of image: RGBImage, height: Int, path: String) throws -> [UInt8] {
    try ImageCodec.encode(image.reduced(toFit: Double(2 * height), Double(height)), quality: 88, path: path)
  }
}
