import Foundation

/// The end of a process that cannot go on and cannot throw: one line on stderr that names rank and host, and an exit
/// code. A launcher that loses a rank so ends the others.
package enum LastWords {
  /// Memory, threads: what the system refuses.
  package static func say(_ message: String, _ kind: Failure.Kind = .internal) -> Never {
    write("lineup: \(place)\(Printable.line(message))\n")
    _exit(kind.rawValue)
  }

  /// From now on a trap or an access to foreign memory is a line too, in place of a dump of registers and libraries.
  ///
  /// A handler may only write what stands ready; it has no argument to find it by.
  package static func prepareForTraps() {
    let text =
      "lineup: \(place)internal error, a trap or a wrong access to memory; the lines above, if any, say where\n"
    line = UnsafePointer(strdup(text))
    length = strlen(text)
    for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in
        _ = Foundation.write(STDERR_FILENO, LastWords.line, LastWords.length)
        _exit(Failure.Kind.internal.rawValue)
      }
      sigaction(number, &action, nil)
    }
  }

  nonisolated(unsafe) private static var line: UnsafePointer<CChar>?
  nonisolated(unsafe) private static var length = 0

  /// Rank and host as lines begin, before MPI has started too, from what its launcher says; empty without one.
  package static var place: String {
    Launched.rank.map { "rank \($0) on \(Host.name): " } ?? ""
  }

  private static func write(_ text: String) {
    var text = text
    text.withUTF8 { _ = Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

/// The machine that this process runs on.
package enum Host {
  package static let name: String = {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "?" }
    return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }()
}
