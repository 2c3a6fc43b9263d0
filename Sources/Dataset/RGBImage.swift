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
