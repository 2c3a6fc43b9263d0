import Dataset

/// Pictures to look at.
package enum Thumbnail {
  /// The image as JPEG, no higher than `height` and no wider than twice that.
  package static func jpeg(of image: RGBImage, height: Int, path: String) throws -> [UInt8] {
    let scale = min(1, Double(height) / Double(image.height), Double(2 * height) / Double(image.width))
    let (rows, columns) = (Double(image.height) * scale, Double(image.width) * scale)
    let small = Resampling.resize(
      image, width: max(1, Int(columns.rounded())), height: max(1, Int(rows.rounded())))
    return try ImageCodec.encode(small, quality: 88, path: path)
  }
}
