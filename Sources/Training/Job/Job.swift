import Collectives
import Foundation
import Storage
import Tensors

/// A process as one rank of a job: starts MPI where a launcher did, and turns every error into one line and an exit
/// code.
package enum Job {
  /// Runs `body` as this rank and exits: 0, or the code of the `Failure`.
  ///
  /// An agreed failure ends every rank in order. Any other is local: the rank says its number and aborts the job, since
  /// the others may be waiting for it in a collective. A rank that says nothing more at all is the `Watchdog`'s business.
  package static func run(_ body: (any Communicator, Watchdog?) throws -> Void) -> Never {
    // A file that outgrows a limit, or a pipe that nobody reads, is an error of the write, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
    LastWords.prepareForTraps()
    HostMemory.requireLibraries()
    do {
      guard MPICommunicator.isLaunched else {
        do {
          try body(SoloCommunicator(), nil)
          end(0)
        } catch let failure as AgreedFailure {
          if let line = failure.line(rank: 0) { Console.complain(line) }
          end(failure.kind.rawValue)
        }
      }
      let limit = try StartLimit.begin()
      let mpi = try MPICommunicator.start()
      LastWords.prepareForTraps()  // MPI has put its own handlers there
      let communicator = TimedCommunicator(mpi, Timeline())
      let watchdog = try Watchdog(communicator)
      limit.lift()
      do {
        try body(communicator, watchdog)
        try finish(mpi, watchdog)
        end(0)
      } catch let failure as AgreedFailure {
        if let line = failure.line(rank: mpi.rank) { Console.complain(line) }
        try finish(mpi, watchdog)
        end(failure.kind.rawValue)
      } catch {
        let failure = (error as? Failure ?? .internal("\(error)")).at(rank: mpi.rank, host: Host.name)
        Console.complain(failure.description)
        mpi.abort(failure.kind.rawValue)
      }
    } catch {
      Console.complain("\(LastWords.place)\(error)")
      exit(((error as? Failure)?.kind ?? .internal).rawValue)
    }
  }

  /// All ranks are here: nobody needs to be watched any more.
  private static func finish(_ mpi: MPICommunicator, _ watchdog: Watchdog?) throws {
    var orphans = [watchdog?.isOrphan == true ? 1.0 : 0]
    try mpi.allreduce(&orphans, .max)
    watchdog?.stop()
    // Without a launcher there is nobody to take leave of, and MPI would wait for it.
    if orphans[0] == 0 { try mpi.finish() }
  }

  /// Results that a command printed and that did not arrive are an error of their own.
  private static func end(_ code: Int32) -> Never {
    if fflush(nil) != 0 && code == 0 {
      Console.complain("standard output: \(String(cString: strerror(errno)))")
      exit(Failure.Kind.internal.rawValue)
    }
    if code != 0 && Launched.isByHydra { holdOutput() }
    exit(code)
  }

  /// Once it has passed on a signal, Hydra (4.0.2) takes the codes of a host's ranks for 0 where it sees all their output closed
  /// before it has looked for ended ones, which it does whenever some output closes. So another process outlives this one and
  /// closes stdout, and then stderr.
  private static func holdOutput() {
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/bin/sh")
    holder.arguments = ["-c", "sleep 0.1; exec >&-; sleep 0.1"]
    holder.standardInput = FileHandle.nullDevice
    try? holder.run()
  }
}
