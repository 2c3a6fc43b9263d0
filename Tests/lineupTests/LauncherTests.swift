import Foundation
import Testing
import Training

extension CommandTests {
  /// `launch/train`, mpirun as a job that can be asked to stop.
  @Suite(.serialized) struct LauncherTests {
    private let scratch: Scratch, data: String
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../launch/train"
    ).standardized.path

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    /// - Parameter shell: runs `"$@"`, the script and its arguments.
    private func run(
      _ environment: [String: String] = [:], shell: String = "exec \"$@\"", during: (pid_t) -> Void = { _ in }
    ) throws -> Command.Outcome {
      let products = URL(fileURLWithPath: Command.path).deletingLastPathComponent().path
      let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
      return try Command.run(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings("schedule.epochs=4000", "checkpoint.everySteps=0", "watchdog.seconds=5"),
        environment: ["PATH": "\(products):\(path)", "RANKS": "2"].merging(environment) { $1 },
        prefix: ["bash", "-c", "shift 2; set -- '\(Self.script)' \"$@\"; \(shell)", "bash"], timeout: 40, during: during
      )
    }

    private func mpirun(_ launcher: pid_t) -> pid_t? {
      Command.children(of: launcher).first { child in
        (try? String(contentsOfFile: "/proc/\(child)/comm", encoding: .utf8)) == "mpirun\n"
      }
    }

    @Test(arguments: [
      ("RANKS", "9999999", "more than 64 a core"), ("RANKS", "0", "a whole number"),
      ("INTERFACE", "10.0.0/8", "no IPv4 network"), ("INTERFACE", "10.0.0.0/33", "no IPv4 network"),
      ("INTERFACE", "lo,10.0.0.256/8", "no IPv4 network"), ("INTERFACE", "../net", "no IPv4 network"),
      ("INTERFACE", "none0", "this host has no none0"),
    ]) func aWrongVariableIsNamed(_ name: String, _ value: String, _ reason: String) throws {
      let outcome = try run([name: value])
      #expect(outcome.code == 64, "\(outcome.errors)")
      #expect(outcome.errors.hasPrefix("train: \(name) is \(value); ") && outcome.errors.contains(reason))
      #expect(outcome.errors.split(separator: "\n").count == 1)
    }

    /// `launch/quickstart` begins like this on a new machine, before it installs one.
    @Test func withoutAnMpirunItIsSaid() throws {
      let tools = scratch("bin"), files = FileManager.default
      try files.createDirectory(atPath: tools, withIntermediateDirectories: false)
      for tool in ["bash", "dirname", "id"] {
        try files.createSymbolicLink(atPath: "\(tools)/\(tool)", withDestinationPath: "/usr/bin/\(tool)")
      }
      let outcome = try run(["PATH": tools])
      #expect(outcome.code == 69)
      #expect(outcome.errors == "train: there is no mpirun on the PATH; launch/setup installs Open MPI\n")
    }

    @Test func aWorkingDirectoryThatIsGoneIsSaid() throws {
      let outcome = try run(shell: "mkdir '\(scratch("gone"))'; cd '\(scratch("gone"))'; rmdir \"$PWD\"; exec \"$@\"")
      #expect(outcome.code == 70, "\(outcome.errors)")
      // bash says something of its own before.
      let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("train: ") }
      #expect(lines.count == 1 && lines[0].contains("the working directory") && lines[0].hasSuffix("is gone"))
    }

    /// Without a reader for what it says, a run stops as if it had been asked to.
    @Test func aReaderThatGoesAwayStopsTheRun() throws {
      let outcome = try run(shell: "\"$@\" | head -3; exit ${PIPESTATUS[0]}")
      #expect(outcome.code == 75 && outcome.errors.isEmpty, "\(outcome.code) \(outcome.errors)")
      #expect(outcome.output.split(separator: "\n").count == 3)
      #expect(try Checkpoint(path: scratch("run")).state.step > 0)
    }

    @Test func aKilledRankIsMpirunsToTell() throws {
      let files = RunFiles(path: scratch("run"))
      var isDone = false
      let outcome = try run { launcher in
        guard !isDone, files.steps >= 25, let rank = mpirun(launcher).flatMap({ Mpirun.ranks(of: $0).last })
        else { return }
        isDone = true
        kill(rank, SIGKILL)
      }
      let line = Mpirun.isMPICH ? "mpirun: a rank was ended by signal 9" : "mpirun: rank "
      #expect(outcome.code == 137 && outcome.errors.hasPrefix(line), "\(outcome.code) \(outcome.errors)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }

    @Test func aKilledMpirunIsSaid() throws {
      let files = RunFiles(path: scratch("run"))
      var killed: pid_t?
      let outcome = try run { launcher in
        guard killed == nil, files.steps >= 25, let process = mpirun(launcher) else { return }
        killed = process
        kill(process, SIGKILL)
      }
      #expect(killed != nil && outcome.code == 69, "\(outcome.code) \(outcome.errors)")
      #expect(outcome.errors.hasPrefix("train: mpirun was killed (signal 9)"), "\(outcome.errors)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      if !Mpirun.killsRanks { #expect(try Checkpoint(path: scratch("run")).state.step >= 25) }
    }

    /// Stopped when the signal comes, or killed after it: what was asked for is done.
    @Test(arguments: Mpirun.killsRanks ? [SIGSTOP] : [SIGSTOP, SIGKILL]) func whatWasAskedForIsDoneWithoutMpirun(_ number: Int32) throws {
      let files = RunFiles(path: scratch("run"))
      var isDone = false
      let outcome = try run { launcher in
        guard !isDone, files.steps >= 25, let process = mpirun(launcher) else { return }
        isDone = true
        if number == SIGSTOP { kill(process, SIGSTOP) }
        usleep(3_000_000)  // the launcher waits for mpirun to be ready in its first seconds
        kill(launcher, SIGTERM)
        if number == SIGKILL {
          usleep(50_000)
          kill(process, SIGKILL)
        }
      }
      #expect(isDone && outcome.code == 75, "\(outcome.code) \(outcome.errors)")
      #expect(try Checkpoint(path: scratch("run")).state.step >= 25)
    }
  }
}
