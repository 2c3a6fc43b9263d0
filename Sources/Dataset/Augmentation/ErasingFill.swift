import Foundation
import Tensors

/// `data.erasingFill`: what an erased rectangle is covered with.
package enum ErasingFill: String, CaseIterable, Sendable {
  case mean, color, noise

  package var meaning: String {
    switch self {
    case .mean: "ImageNet's mean colour (Bag of Tricks)"
    case .color: "one random colour, normally distributed about it (timm's `rand`)"
    case .noise: "such a colour for every pixel (timm's `pixel`)"
    }
  }

  /// Covers `hole`, or what of it `isCovered` says. Colours have the mean and deviation of ImageNet's channels, rounded to 8 bits
  /// and so cut off at black and white. 64 bits are drawn for each.
  func cover(
    _ hole: Rectangle, of image: inout RGBImage, where isCovered: (_ x: Int, _ y: Int) -> Bool = { _, _ in true },
    _ random: inout CounterRandom
  ) {
    let width = image.width, mean = ImageNet.meanColor, once = self == .color ? random.next() : 0
    image.pixels.withUnsafeMutableBufferPointer { pixels in
      Self.levels.withUnsafeBufferPointer { levels in
        for y in hole.top..<(hole.top + hole.height) {
          for x in hole.left..<(hole.left + hole.width) where isCovered(x, y) {
            let bits = self == .noise ? random.next() : once
            for channel in 0..<3 {
              pixels[(y * width + x) * 3 + channel] =
                self == .mean
                ? mean[channel] : levels[channel << 16 | Int(bits >> (16 * channel) & 0xFFFF)]
            }
          }
        }
      }
    }
  }

  /// [channel][16 uniform bits]: the value below which that share of the distribution is.
  private static let levels: [UInt8] = (0..<3).flatMap { channel in
    var levels: [UInt8] = []
    levels.reserveCapacity(1 << 16)
    for level in 0..<255 {
      let z = ((Double(level) + 0.5) / 255 - ImageNet.mean[channel]) / ImageNet.deviation[channel]
      let end = Int((erfc(-z / 2.0.squareRoot()) / 2 * 0x1p16).rounded())
      levels += repeatElement(UInt8(level), count: end - levels.count)
    }
    return levels + repeatElement(255, count: 1 << 16 - levels.count)
  }
}
