import Foundation
import Storage

/// The terminal that a frame is drawn on and keys come from, as it was again when it is let go.
package final class Terminal {
  private var before = termios()
  /// Whether keys can be read.
  private let hasKeys: Bool

  /// Whether standard output is one.
  package static var isThere: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Columns and lines of standard output; nil where it has none.
  package static var size: (width: Int, height: Int)? {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Whether nobody reads standard output any more.
  package static var isLeft: Bool {
    var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    return poll(&output, 1, 0) > 0 && output.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
  }

  /// Takes keys as they come, without showing them, and a screen of its own.
  package init() {
    hasKeys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0
    if hasKeys {
      var raw = before
      raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
      tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    }
    Console.write("\u{1B}[?1049h\u{1B}[?25l")
  }

  deinit {
    Console.write("\u{1B}[?25h\u{1B}[?1049l")
    if hasKeys { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
  }

  /// Draws over what is there, in one go. A line is cleared before it is written: behind one of the full width a terminal would
  /// clear its last sign.
  package func draw(_ lines: [String]) {
    let isFull = lines.count >= Self.size?.height ?? 24
    Console.write(
      "\u{1B}[H" + lines.map { "\u{1B}[K\($0)" }.joined(separator: "\n") + (isFull ? "" : "\n\u{1B}[J"))
  }

  /// The keys of the next `milliseconds`, at most; nil where there will be no more.
  package func keys(_ milliseconds: Int) -> [UInt8]? {
    guard hasKeys else {
      usleep(useconds_t(1000 * milliseconds))
      return []
    }
    var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    guard poll(&input, 1, Int32(milliseconds)) > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = Foundation.read(STDIN_FILENO, &bytes, bytes.count)
    if count < 0 && errno == EINTR { return [] }
    return count > 0 ? Array(bytes[..<count]) : nil
  }
}
