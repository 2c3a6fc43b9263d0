import CImageCodec
import Dataset

/// A JPEG, header and pixels.
struct JPEGTarget: FuzzReader {
  static let words = [
    "\u{ff}\u{d8}", "\u{ff}\u{d9}", "\u{ff}\u{c0}", "\u{ff}\u{c1}", "\u{ff}\u{c2}", "\u{ff}\u{c4}", "\u{ff}\u{c9}",
    "\u{ff}\u{da}", "\u{ff}\u{db}", "\u{ff}\u{dd}", "\u{ff}\u{d0}", "\u{ff}\u{e0}", "\u{ff}\u{ee}", "\u{ff}\u{fe}",
    "JFIF\0",
    "Adobe\0", "Exif\0\0",
  ]
  /// Larger images are only judged by their header here, because a decoder that fills millions of pixels is slow.
  private static let mostPixels = 1 << 16

  func read(_ bytes: [UInt8]) throws {
    var width: CInt = 0, height: CInt = 0
    var message = [CChar](repeating: 1, count: Int(LINEUP_JPEG_MESSAGE_BYTES))
    let status = lineup_jpeg_read_header(bytes, bytes.count, &width, &height, &message)
    try FuzzFinding.require(message.contains(0), "a message without an end")
    if status == CInt(LINEUP_JPEG_OK) {
      try FuzzFinding.require(width > 0 && height > 0, "an image of \(width) × \(height)")
      if Int(width) * Int(height) > Self.mostPixels { return }
    }
    let image = try ImageCodec.decode(bytes: bytes, path: "image.jpg")
    try FuzzFinding.require(
      status == CInt(LINEUP_JPEG_OK) && image.width == Int(width) && image.height == Int(height),
      "its header says \(width) × \(height), its image has \(image.width) × \(image.height)")
    try FuzzFinding.require(image.mirrored().mirrored() == image, "an image that is not its mirror image's")
  }
}
