import Foundation
import Tensors

/// Standard output and error of the process, written to so that a full or closed one ends nothing: what is said there is
/// also in `log.txt`.
package enum Console {
  /// Whether all of `text` was taken.
  @discardableResult
  package static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Foundation.write(
          descriptor, UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: rest)).baseAddress!, rest.count)
        if count < 0 && errno == EINTR { continue }
        if count < 0 && errno == EAGAIN {
          var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          if poll(&waiting, 1, 1000) > 0 { continue }
        }
        // A pipe that is read no further (`| head`) is the reader's wish.
        if count < 0 && errno == EPIPE { return true }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
      }
      return true
    }
  }

  /// One line on stdout, before there is a log.
  package static func say(_ message: String) { write("\(Printable.line(message))\n") }

  /// One line on stderr.
  package static func complain(_ message: String) {
    write("lineup: \(Printable.line(message))\n", to: STDERR_FILENO)
  }
}
