import Foundation

/// 0 to 255 each.
package struct Colour: Sendable, Hashable {
  package let red: UInt8, green: UInt8, blue: UInt8

  package init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) { (self.red, self.green, self.blue) = (red, green, blue) }

  /// 0xRRGGBB
  package init(_ hex: UInt32) {
    self.init(UInt8(hex >> 16 & 255), UInt8(hex >> 8 & 255), UInt8(hex & 255))
  }

  /// `#rrggbb`
  package var hex: String { String(format: "#%02x%02x%02x", red, green, blue) }

  /// Of even lightness and strength, all round the circle: `hue` in turns. (Ottosson's Oklch, to sRGB.)
  package static func hue(_ hue: Double, lightness: Double = 0.68, chroma: Double = 0.13) -> Colour {
    let a = chroma * cos(2 * .pi * hue), b = chroma * sin(2 * .pi * hue)
    let l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3)
    let m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3)
    let s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3)
    func channel(_ linear: Double) -> UInt8 {
      let clipped = min(max(linear, 0), 1)
      let value = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * pow(clipped, 1 / 2.4) - 0.055
      return UInt8((255 * value).rounded())
    }
    return Colour(
      channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
      channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
      channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s))
  }
}

/// What a colour is for. Which one that is depends on the page being light or dark; all pairs differ for the colour-blind too
/// (the series after Okabe and Ito, "Color Universal Design", 2008, darker or lighter as the page wants), and nothing is told by
/// a colour alone.
package enum Ink: Sendable, Hashable {
  /// The page, and the ground of a plot or picture on it.
  case paper, ground
  case text, muted, grid
  case right, wrong
  /// A line of a plot, from 0; they repeat.
  case series(Int)
  /// The same on any page.
  case fixed(Colour)

  package static let seriesCount = 7

  /// As a CSS variable and class has it; nil of a fixed colour.
  package var name: String? {
    switch self {
    case .paper: "paper"
    case .ground: "ground"
    case .text: "text"
    case .muted: "muted"
    case .grid: "grid"
    case .right: "right"
    case .wrong: "wrong"
    case .series(let index): "series\(index % Self.seriesCount)"
    case .fixed: nil
    }
  }

  package static let named: [Ink] =
    [.paper, .ground, .text, .muted, .grid, .right, .wrong] + (0..<seriesCount).map { .series($0) }

  /// Of all of them, as CSS variables whose names begin with `prefix`.
  package static func variables(_ prefix: String, dark: Bool) -> String {
    named.map { "\(prefix)\($0.name!):\($0.colour(dark: dark).hex)" }.joined(separator: ";")
  }

  package func colour(dark: Bool = false) -> Colour {
    switch self {
    case .paper: Colour(dark ? 0x15181d : 0xffffff)
    case .ground: Colour(dark ? 0x1d2127 : 0xf6f7f9)
    case .text: Colour(dark ? 0xe8eaed : 0x1b1f24)
    case .muted: Colour(dark ? 0xa2a9b4 : 0x59616c)
    case .grid: Colour(dark ? 0x343a44 : 0xdde1e6)
    case .right: Colour(dark ? 0x2cc295 : 0x007a59)
    case .wrong: Colour(dark ? 0xff8a4c : 0xcc4f00)
    case .series(let index):
      Colour((dark ? Self.lightSeries : Self.darkSeries)[index % Self.seriesCount])
    case .fixed(let colour): colour
    }
  }

  /// Blue, vermilion, green, purple, ochre, cyan, wine.
  private static let darkSeries: [UInt32] = [0x0072b2, 0xcc4f00, 0x007a59, 0xa3437f, 0x8f6b00, 0x1b8fb8, 0x6b2346]
  private static let lightSeries: [UInt32] = [0x56b4e9, 0xff8a4c, 0x2cc295, 0xe39bc6, 0xf0c742, 0x7fe0ee, 0xf2849f]
}
