import Foundation
import Storage
import Tensors

/// Ends a rank that waits too long for the others to start.
///
/// MPI_Init returns when every rank has called it: never, where the program of one has ended or hangs before that, which
/// Open MPI's launcher does not notice. The watchdog needs MPI; this comes before it.
final class StartLimit: Sendable {
  /// Of the environment, since nothing else is known yet: the configuration is agreed on through MPI.
  private static let variable = "LINEUP_START_SECONDS"
  /// After so many seconds the first rank of each host says that it waits.
  private static let notice = 30.0
  private let isLifted = DispatchSemaphore(value: 0)

  /// Starts to count, before MPI_Init.
  static func begin(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> StartLimit {
    let text = environment[variable] ?? "300"
    guard let seconds = Double(text), (0...86400).contains(seconds) else {
      throw Failure.usage("\(variable) is \(text); it must be from 0 to 86400 seconds (0 waits for ever)")
    }
    let limit = StartLimit(), speaks = Launched.localRank == "0"
    Threads.start("lineup-start") { limit.watch(seconds > 0 ? seconds : .infinity, speaks: speaks) }
    return limit
  }

  /// All ranks have started.
  func lift() { isLifted.signal() }

  private func watch(_ seconds: Double, speaks: Bool) {
    let first = min(seconds, Self.notice)
    if isLifted.wait(timeout: .now() + first) == .success { return }
    if seconds > first {
      if speaks { Console.complain("\(LastWords.place)waiting for all ranks to start: \(Int(first)) s in MPI_Init") }
      let rest = seconds.isFinite ? DispatchTime.now() + (seconds - first) : .distantFuture
      if isLifted.wait(timeout: rest) == .success { return }
    }
    Console.complain(
      "\(LastWords.place)not all ranks have started: waited \(text(seconds)) s in MPI_Init (\(Self.variable))")
    Launcher.endLater()
    usleep(1_500_000)  // each rank is to say so before the launcher hears of the first
    _exit(Failure.Kind.missing.rawValue)
  }

  private func text(_ seconds: Double) -> String { String(format: "%g", seconds) }
}
