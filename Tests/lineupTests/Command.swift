import Foundation
import Testing

/// The command as a user starts it: the built `lineup`, alone or under `mpirun`.
enum Command {
  struct Outcome {
    let code: Int32
    let output: String, errors: String
    /// Lines of stderr that are Lineup's own errors; mpirun adds notices of its own.
    var complaints: [String] {
      errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("lineup: ") }
    }
  }

  /// Beside the test bundle, in the folder of the build's products.
  static let path: String = {
    let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    return products.appendingPathComponent("lineup").path
  }()

  /// Runs `lineup` to its end.
  ///
  /// - Parameters:
  ///   - ranks: nil starts it without mpirun.
  ///   - prefix: put before the command line, such as `["bash", "-c", "…", "bash"]`.
  ///   - timeout: seconds; a run that takes longer is killed and fails the test.
  ///   - during: called every millisecond or so while it runs, with its process id (mpirun's, where there is one).
  static func run(
    _ arguments: [String], ranks: Int? = nil, environment: [String: String] = [:], prefix: [String] = [],
    timeout: Double = 60, sourceLocation: SourceLocation = #_sourceLocation, during: (pid_t) -> Void = { _ in }
  ) throws -> Outcome {
    try launch(
      prefix + (ranks.map(Mpirun.here) ?? []) + [path] + arguments, environment: environment, timeout: timeout,
      sourceLocation: sourceLocation, during: during)
  }

  /// Runs any program to its end, found on the PATH where it is no path.
  static func launch(
    _ line: [String], environment: [String: String] = [:], timeout: Double = 60,
    sourceLocation: SourceLocation = #_sourceLocation, during: (pid_t) -> Void = { _ in }
  ) throws -> Outcome {
    let scratch = try Scratch()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = line
    process.environment = inherited.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try scratch.handle("out")
    process.standardError = try scratch.handle("err")
    let deadline = Date(timeIntervalSinceNow: timeout)
    try withSignalsUnblocked { try process.run() }
    while process.isRunning {
      if Date() > deadline {
        stop(process)
        Issue.record(
          "still running after \(timeout) s: \(line.joined(separator: " "))", sourceLocation: sourceLocation)
        break
      }
      during(process.processIdentifier)
      usleep(1000)
    }
    process.waitUntilExit()
    let isKilled = process.terminationReason == .uncaughtSignal
    return Outcome(
      code: isKilled ? -process.terminationStatus : process.terminationStatus, output: try scratch.text("out"),
      errors: try scratch.text("err"))
  }

  /// As `run`, where anything but success fails the test.
  @discardableResult
  static func succeed(
    _ arguments: [String], ranks: Int? = nil, environment: [String: String] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    let outcome = try run(arguments, ranks: ranks, environment: environment, sourceLocation: sourceLocation)
    try #require(
      outcome.code == 0 && outcome.complaints.isEmpty,
      "\(arguments.joined(separator: " ")): exit code \(outcome.code)\n\(outcome.errors.suffix(2000))",
      sourceLocation: sourceLocation)
    return outcome
  }

  /// The processes that a process has started and that still run.
  static func children(of process: pid_t) -> [pid_t] {
    let list = try? String(contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .utf8)
    return (list ?? "").split(separator: " ").compactMap { pid_t($0) }
  }

  /// Whether a process is there and has not ended; one whose end nobody has asked for yet has.
  static func isRunning(_ process: pid_t) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
    return text.split(separator: ")").last?.split(separator: " ").first != "Z"
  }

  /// The environment without what would make the command another one.
  private static var inherited: [String: String] {
    ProcessInfo.processInfo.environment.filter { key, _ in
      !key.hasPrefix("LINEUP_") && !key.hasPrefix("OMPI_COMM_") && !key.hasPrefix("PMIX_") && !key.hasPrefix("PMI_")
    }.merging(Mpirun.usual) { $1 }
  }

  /// The threads that tests run on block signals, and a child inherits that.
  static func withSignalsUnblocked(_ body: () throws -> Void) rethrows {
    var none = sigset_t(), before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try body()
  }

  /// mpirun ends its ranks when it is asked to; it is killed where it does not.
  private static func stop(_ process: Process) {
    kill(process.processIdentifier, SIGTERM)
    for _ in 0..<50 where process.isRunning { usleep(100_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }
}

/// The parent of the suites that run the command and look at the clock: one at a time, since each test takes all cores.
@Suite(.serialized) struct CommandTests {}

/// Of those that only look at what a command says and leaves: beside the others, one at a time too.
@Suite(.serialized) struct UntimedCommandTests {}
