import Collectives
import Foundation
import Logging
import Storage
import Synchronization
import Tensors

/// What a user reads: on the terminal the message, in `log.txt` the message with time and level.
///
/// Rank 0 speaks for all; the other ranks only warn, on stderr, with their number. On a terminal the steps of an epoch
/// are one line that is written over; elsewhere each is a line.
package final class RunLog: Sendable {
  package let logger: Logger
  private let output: LogOutput

  /// `path`: the log file, appended to; nil for none.
  package init(rank: Int, level: Configuration.Log.Level, path: String? = nil) throws {
    let file = rank == 0 ? try path.map { try OutputFile($0, flags: O_WRONLY | O_CREAT | O_APPEND) } : nil
    let output = LogOutput(rank: rank, file: file)
    self.output = output
    var logger = Logger(label: "lineup") { _ in RunLogHandler(output: output) }
    logger.logLevel = rank == 0 ? Logger.Level(rawValue: level.rawValue) ?? .info : .warning
    self.logger = logger
  }

  package func debug(_ message: String) { logger.debug("\(message)") }
  package func info(_ message: String) { logger.info("\(message)") }
  package func warning(_ message: String) { logger.warning("\(message)") }

  /// Throws where a line did not reach the terminal, for commands whose lines are their result.
  package func requireDelivered() throws {
    if output.isLost { throw Failure.internal("standard output: could not be written") }
  }

  /// A step of training: a line, or on a terminal the progress bar (`done` of the epoch's steps, 0…1).
  package func step(_ message: String, done: Double) {
    if logger.logLevel <= .info { output.step(message, done: done) }
  }
}

private struct RunLogHandler: LogHandler {
  let output: LogOutput
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  init(output: LogOutput) { self.output = output }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    output.write(Printable.line("\(event.message)", limit: 10_000), level: event.level)
  }
}

/// Terminal and file of one rank; `lock` keeps lines whole.
private final class LogOutput: Sendable {
  private let rank: Int
  private let isTerminal: Bool
  private struct State {
    var hasBar = false
    var isLost = false
    let file: OutputFile?
  }
  private let state: Mutex<State>

  init(rank: Int, file: sending OutputFile?) {
    self.rank = rank
    // mpirun gives its ranks a terminal whatever it writes to itself, so there only the launcher knows.
    let told = ProcessInfo.processInfo.environment["LINEUP_TERMINAL"].map { $0 == "1" }
    isTerminal = rank == 0 && (told ?? (!MPICommunicator.isLaunched && isatty(STDOUT_FILENO) == 1))
    state = Mutex(State(file: file))
  }

  var isLost: Bool { state.withLock { $0.isLost } }

  func write(_ message: String, level: Logger.Level) {
    state.withLock { state in
      let text = level >= .warning ? "\(level): \(message)" : message
      if rank == 0 {
        if !Console.write((state.hasBar ? "\r\u{1B}[K" : "") + text + "\n") { state.isLost = true }
      } else {
        Console.write("rank \(rank) on \(Host.name): \(text)\n", to: STDERR_FILENO)
      }
      state.hasBar = false
      record(message, level, state)
    }
  }

  func step(_ message: String, done: Double) {
    state.withLock { state in
      if isTerminal {
        let width = 20, filled = Int((done * Double(width)).rounded(.down))
        let bar = String(repeating: "━", count: filled) + String(repeating: "·", count: width - filled)
        Console.write("\r\u{1B}[K\(bar) \(message)")
        state.hasBar = true
      } else if rank == 0 {
        Console.write(message + "\n")
      }
      record(message, .info, state)
    }
  }

  /// A log that cannot be written (a full disk) must not end the run; metrics and checkpoints say so.
  private func record(_ message: String, _ level: Logger.Level, _ state: borrowing State) {
    let time = Date().formatted(.iso8601.dateSeparator(.dash).timeSeparator(.colon).dateTimeSeparator(.space))
    try? state.file?.write("\(time) \(level) \(message)\n")
  }
}
