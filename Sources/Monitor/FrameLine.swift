/// A line of a frame: pieces of text, each in an ink.
struct FrameLine {
  enum Ink: String {
    case plain = "", bold = "1", dim = "2", green = "32", red = "31", yellow = "33", cyan = "36"
  }

  private(set) var pieces: [(text: String, ink: Ink)]

  init(_ text: String = "", _ ink: Ink = .plain) { pieces = [(text, ink)] }

  static func + (line: FrameLine, more: FrameLine) -> FrameLine {
    var line = line
    line.pieces += more.pieces
    return line
  }

  var count: Int { pieces.reduce(0) { $0 + $1.text.count } }

  /// With blanks behind it up to `width`, or cut to it.
  func padded(_ width: Int) -> FrameLine {
    count < width ? self + FrameLine(String(repeating: " ", count: width - count)) : cut(width)
  }

  func cut(_ width: Int) -> FrameLine {
    var line = FrameLine(), left = width
    for piece in pieces {
      line.pieces.append((String(piece.text.prefix(left)), piece.ink))
      left -= min(left, piece.text.count)
    }
    return line
  }

  /// - Parameter inks: whether with a terminal's sequences.
  func text(inks: Bool) -> String {
    pieces.map {
      inks && $0.ink != .plain && !$0.text.isEmpty ? "\u{1B}[\($0.ink.rawValue)m\($0.text)\u{1B}[0m" : $0.text
    }
    .joined()
  }
}
