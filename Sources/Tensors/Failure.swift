import Foundation

/// What went wrong: with what, in which operation, on which rank, and the exit code it leads to. One line says it all.
///
/// Lineup throws nothing else on purpose: `main` is the only catcher and prints the line.
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
  /// The file, folder or option that it is about (`labels.csv`, `labels.csv:12`, `--output`), where it is about one.
  package private(set) var path: String?
  /// What was being done, where a library failed: `MPI: allreduce`.
  package let operation: String?
  package let reason: String
  /// Where it happened, as far as it matters there; the rank's host with it.
  package private(set) var rank: Int?, host: String?

  package init(_ kind: Kind, path: String? = nil, operation: String? = nil, _ reason: String) {
    (self.kind, self.path, self.operation, self.reason) = (kind, path, operation, reason)
  }

  package static func usage(_ reason: String) -> Failure { Failure(.usage, reason) }
  package static func data(_ reason: String) -> Failure { Failure(.data, reason) }
  package static func `internal`(_ reason: String) -> Failure { Failure(.internal, reason) }
  package static func usage(_ path: String, _ reason: String) -> Failure { Failure(.usage, path: path, reason) }
  package static func data(_ path: String, _ reason: String) -> Failure { Failure(.data, path: path, reason) }
  package static func `internal`(_ path: String, _ reason: String) -> Failure { Failure(.internal, path: path, reason) }

  /// What the system said of a call: `errno`, or a status of that kind.
  package static func system(_ kind: Kind, _ path: String, _ status: Int32) -> Failure {
    Failure(kind, path: path, String(cString: strerror(status)))
  }

  /// The same of a rank.
  package func at(rank: Int, host: String) -> Failure {
    var failure = self
    (failure.rank, failure.host) = (rank, host)
    return failure
  }

  /// The same with what a path below `folder` is called below `name`.
  package func renaming(_ folder: String, to name: String) -> Failure {
    var failure = self
    if let path, path == folder || path.hasPrefix(folder + "/") { failure.path = name + path.dropFirst(folder.count) }
    return failure
  }

  /// Without the rank. Names of files, and texts from them, are in it.
  package var message: String {
    Printable.line([operation, path, reason].compactMap { $0 }.joined(separator: ": "), limit: 4000)
  }

  package var description: String {
    guard let rank, let host else { return message }
    return "rank \(rank) on \(host): \(message)"
  }
}
