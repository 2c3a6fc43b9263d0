/// What went wrong, in one line that names the file, key, tensor or rank, and the exit code it leads to.
///
/// Lineup throws nothing else on purpose: `main` is the only catcher and prints `message` as one line.
package struct Failure: Error, CustomStringConvertible, Sendable {
  /// The documented exit codes of `lineup` (BSD `sysexits`).
  package enum Kind: Int32, Sendable {
    /// The command line or the configuration is wrong.
    case usage = 64
    /// A data set, image, weights file or checkpoint is missing, damaged or does not fit.
    case data = 65
    /// A rank, host or service that the job needs does not answer.
    case missing = 69
    /// A broken invariant, or the system failed (MPI, memory, disk).
    case `internal` = 70
    /// The job was asked to stop; a checkpoint has been written, unless steps were just being skipped.
    case stopped = 75
    /// The run's numbers are no longer finite; the last proven checkpoint stays. Or no step has counted.
    case diverged = 76
  }

  package let kind: Kind
  package let message: String

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    // Names of files and texts from them are in it.
    self.message = Printable.line(message, limit: 4000)
  }

  package static func usage(_ message: String) -> Failure { Failure(.usage, message) }
  package static func data(_ message: String) -> Failure { Failure(.data, message) }
  package static func `internal`(_ message: String) -> Failure { Failure(.internal, message) }

  package var description: String { message }
}
