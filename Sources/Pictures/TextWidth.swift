/// How wide texts are in DejaVu Sans, near enough to place them: a reader of SVG may have another font.
package enum TextWidth {
  /// In CSS pixels.
  package static func of(_ text: String, size: Double) -> Double {
    size * text.unicodeScalars.reduce(0) { $0 + width($1) }
  }

  /// Shortened in its middle until it takes at most `width`.
  package static func fitted(_ text: String, width: Double, size: Double) -> String {
    guard of(text, size: size) > width else { return text }
    let characters = Array(text)
    for kept in stride(from: characters.count - 1, to: 0, by: -1) {
      let head = (kept + 1) / 2
      let short = String(characters[..<head]) + "…" + String(characters[(characters.count - kept + head)...])
      if of(short, size: size) <= width { return short }
    }
    return "…"
  }

  /// In ems.
  private static func width(_ scalar: Unicode.Scalar) -> Double {
    switch scalar {
    case "i", "j", "l", "'", "|", ".", ",", ":", ";", " ", "!": 0.33
    case "f", "t", "r", "-", "/", "(", ")", "[", "]", "·": 0.4
    case "m", "w", "M", "W", "%", "@", "…": 0.96
    case "a"..."z", "0"..."9": 0.62
    case "A"..."Z", "±", "=", "+", "×": 0.74
    default: scalar.value < 0x2e80 ? 0.68 : 1
    }
  }
}
