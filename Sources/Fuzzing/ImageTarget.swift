import CImageCodec
import Dataset
import Tensors

/// A JPEG, header and pixels.
struct JPEGTarget: FuzzReader {
  static let words = [
    "\u{ff}\u{d8}", "\u{ff}\u{d9}", "\u{ff}\u{c0}", "\u{ff}\u{c1}", "\u{ff}\u{c2}", "\u{ff}\u{c4}", "\u{ff}\u{c9}",
    "\u{ff}\u{da}", "\u{ff}\u{db}", "\u{ff}\u{dd}", "\u{ff}\u{d0}", "\u{ff}\u{e0}", "\u{ff}\u{ee}", "\u{ff}\u{fe}",
    "JFIF\0",
    "Adobe\0", "Exif\0\0",
  ]

  func read(_ bytes: [UInt8]) throws { try ReadImage.judge(bytes, header: lineup_jpeg_read_header) }
}

/// A PNG, header and pixels, as it is and with its chunks' sums made right: with wrong ones nothing else is looked at.
struct PNGTarget: FuzzReader {
  static let words = [
    "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "eXIf", "iCCP", "gAMA", "tEXt", "zTXt", "acTL", "Exif\0\0", "\0\0\0\0",
    "\0\0\0\u{0d}", "\u{10}\u{00}\0\0", "\u{08}\u{02}\0\0", "\u{08}\u{03}\0\0\u{01}", "\u{01}\0\0\0\u{01}", "II*\0",
    "MM\0*",
  ]

  func read(_ bytes: [UInt8]) throws {
    let repaired = FuzzBytes.withSums(bytes)
    try ReadImage.judge(repaired, header: lineup_png_read_header)
    // Wrong sums are an error of the file wherever they count, and no other outcome than this.
    if repaired != bytes { _ = try? ImageCodec.decode(bytes: bytes, path: "image.png") }
  }
}

private enum ReadImage {
  /// Larger images are only judged by their header here, because a decoder that fills millions of pixels is slow.
  private static let mostPixels = 1 << 16

  static func judge(
    _ bytes: [UInt8],
    header: (
      UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<CInt>?, UnsafeMutablePointer<CInt>?, UnsafeMutablePointer<CChar>?
    ) -> CInt
  ) throws {
    var width: CInt = 0, height: CInt = 0
    var message = [CChar](repeating: 1, count: Int(LINEUP_IMAGE_MESSAGE_BYTES))
    let status = header(bytes, bytes.count, &width, &height, &message)
    try FuzzFinding.require(message.contains(0), "a message without an end")
    if status == CInt(LINEUP_IMAGE_OK) {
      try FuzzFinding.require(width > 0 && height > 0, "an image of \(width) × \(height)")
      if Int(width) * Int(height) > mostPixels { return }
    }
    let image = try ImageCodec.decode(bytes: bytes, path: "image")
    try FuzzFinding.require(status == CInt(LINEUP_IMAGE_OK), "an image whose header is refused")
    let sides = [Int(width), Int(height)], turns = Orientation(ofFile: bytes).rawValue > 4
    try FuzzFinding.require(
      [image.width, image.height] == (turns ? sides.reversed() : sides),
      "its header says \(width) × \(height), its image has \(image.width) × \(image.height)")
    try FuzzFinding.require(image.mirrored().mirrored() == image, "an image that is not its mirror image's")
  }
}
