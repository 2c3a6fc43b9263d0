import Dataset
import Foundation

/// Texts and pictures within SVG and HTML.
package enum Markup {
  /// Of the text or attribute of an element. Space is a blank, and what XML does not allow at all is left out.
  package static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&#39;"
      case "\t", "\n", "\r": out += " "
      case _ where scalar.value < 0x20 || [0xfffe, 0xffff].contains(scalar.value): continue
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

extension Picture {
  /// The picture as a URI that holds it: JPEG of a photograph, PNG of anything else.
  /// - Throws: `Failure.internal` where it cannot be encoded.
  package func dataURI() throws -> String {
    let bytes =
      try isPhotograph
      ? ImageCodec.encode(image, quality: 88, path: label) : ImageCodec.encodePNG(image, path: label)
    return "data:image/\(isPhotograph ? "jpeg" : "png");base64,\(Data(bytes).base64EncodedString())"
  }
}
