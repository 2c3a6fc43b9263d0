import Collectives
import Foundation
import Tensors

/// A process as one rank of a job: starts MPI where a launcher did, and turns every error into one line and an exit
/// code.
package enum Job {
  /// Runs `body` as this rank and exits: 0, or the code of the `Failure`.
  ///
  /// An agreed failure ends every rank in order. Any other is local: the rank says its number and aborts the job, since
  /// the others may be waiting for it in a collective.
  package static func run(_ body: (any Communicator) throws -> Void) -> Never {
    // A file that outgrows a limit is an error of the write, like a full disk, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      guard MPICommunicator.isLaunched() else {
        do {
          try body(SoloCommunicator())
          exit(0)
        } catch let failure as AgreedFailure {
          if let message = failure.message { complain(message) }
          exit(failure.kind.rawValue)
        }
      }
      let communicator = try MPICommunicator.start()
      do {
        try body(communicator)
        try communicator.finish()
        exit(0)
      } catch let failure as AgreedFailure {
        if let message = failure.message { complain(message) }
        try communicator.finish()
        exit(failure.kind.rawValue)
      } catch {
        complain("rank \(communicator.rank): \(error)")
        communicator.abort(((error as? Failure)?.kind ?? .internal).rawValue)
      }
    } catch {
      complain("\(error)")
      exit(((error as? Failure)?.kind ?? .internal).rawValue)
    }
  }

  /// One line on stderr.
  package static func complain(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    FileHandle.standardError.write(Data("lineup: \(line)\n".utf8))
  }
}
