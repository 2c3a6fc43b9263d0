/// Text from files and command lines, made fit for a terminal and a log.
package enum Printable {
  /// One line of at most `limit` characters: line ends are spaces, other control characters are written out (a file name
  /// must not move the cursor or ring the bell), and a longer text loses its middle.
  package static func line(_ text: String, limit: Int = 1000) -> String {
    // Only what can be shown is looked at, however long a field of a file is.
    var shown = text
    if text.utf8.count > 4 * limit || text.count > limit {
      shown = "\(text.prefix(limit * 2 / 3)) … \(text.suffix(limit / 4))"
    }
    guard shown.unicodeScalars.contains(where: isControl) else { return shown }
    var line = String.UnicodeScalarView()
    for scalar in shown.unicodeScalars {
      if scalar == "\n" || scalar == "\r" || scalar == "\t" {
        if line.last != " " { line.append(" ") }
      } else if isControl(scalar) {
        line.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
      } else {
        line.append(scalar)
      }
    }
    return String(line)
  }

  /// C0, DEL and C1, the line and paragraph separators, and what turns the direction of text round.
  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}
