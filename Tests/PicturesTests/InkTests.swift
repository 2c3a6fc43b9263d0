import Foundation
import Pictures
import Testing

@Suite struct InkTests {
  /// Relative luminance and contrast of WCAG 2.1.
  private func luminance(_ colour: Colour) -> Double {
    func linear(_ value: UInt8) -> Double {
      let v = Double(value) / 255
      return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4)
    }
    return 0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue)
  }

  private func contrast(_ a: Colour, _ b: Colour) -> Double {
    let (x, y) = (luminance(a), luminance(b))
    return (max(x, y) + 0.05) / (min(x, y) + 0.05)
  }

  @Test(arguments: [false, true]) func standsOutFromThePage(dark: Bool) {
    for ground in [Ink.paper, .ground].map({ $0.colour(dark: dark) }) {
      for ink in [Ink.text, .muted] {
        #expect(contrast(ink.colour(dark: dark), ground) >= 4.5, "\(ink), dark: \(dark)")
      }
      for ink in [Ink.right, .wrong] + (0..<Ink.seriesCount).map({ .series($0) }) {
        #expect(contrast(ink.colour(dark: dark), ground) >= 3, "\(ink), dark: \(dark)")
      }
    }
  }
}
