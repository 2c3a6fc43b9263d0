import Foundation
import Synchronization

/// Asks a job to checkpoint and stop: SIGTERM, SIGINT, a closed terminal's SIGHUP, or SIGUSR1 (which mpirun forwards to
/// every rank).
///
/// A handler may only set a flag, and has no argument to find it by: this is the one piece of state that a process
/// shares. Ranks agree on it at each step.
package enum StopSignal {
  private static let requested = Atomic<Bool>(false)

  /// Whether this rank has been asked.
  package static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// As a signal does: a launcher that is gone can send none.
  package static func request() { requested.store(true, ordering: .relaxed) }

  /// From now on the signals set the flag; a second one of the same kind ends the process as usual. The first thing that a
  /// process does, before MPI starts: a signal that comes earlier would kill it.
  package static func install() {
    for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] {
      var action = sigaction()
      // nohup's process goes on.
      if number == SIGHUP, sigaction(number, nil, &action) == 0, isIgnored(action) { continue }
      action.__sigaction_handler.sa_handler = { _ in StopSignal.requested.store(true, ordering: .relaxed) }
      action.sa_flags = Int32(
        bitPattern: number == SIGUSR1 ? UInt32(SA_RESTART) : UInt32(SA_RESTART) | UInt32(SA_RESETHAND))
      sigaction(number, &action, nil)
    }
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }
}
