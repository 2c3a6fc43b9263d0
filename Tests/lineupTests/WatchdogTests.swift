import Foundation
import Testing
import Training

extension CommandTests {
  /// A job never waits for ever, and says what it waited for.
  @Suite(.serialized) struct WatchdogTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ settings: String...) -> [String] {
      ["train", "--data", data, "--output", scratch("run")] + Tiny.training
        + Tiny.settings("schedule.epochs=4000", "checkpoint.everySteps=20", "watchdog.seconds=2")
        + settings.flatMap { ["--set", $0] }
    }

    private func isAlive(_ process: pid_t) -> Bool {
      let state = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
      return state.map { !$0.contains(") Z ") } ?? false
    }

    @Test(arguments: [0, 1, 2]) func aStoppedRankIsNamedByAllOthers(_ stopped: Int) throws {
      let files = RunFiles(path: scratch("run"))
      var ranks: [pid_t] = []
      let outcome = try Command.run(train(), ranks: 3, timeout: 40) { process in
        guard ranks.isEmpty, files.steps >= 25 else { return }
        ranks = Mpirun.ranks(of: process)
        kill(ranks[stopped], SIGSTOP)
      }
      #expect(outcome.code == 69, "\(outcome.errors)")
      let others = [0, 1, 2].filter { $0 != stopped }
      #expect(outcome.complaints.count == 2, "\(outcome.complaints)")
      for rank in others {
        let line = outcome.complaints.first { $0.hasPrefix("lineup: rank \(rank) on ") } ?? ""
        #expect(line.contains(": rank \(stopped) on ") && line.contains(" is missing: not heard of for "), "\(line)")
        #expect(line.contains("last seen in step ") && line.contains("; waited ") && line.contains(" in "), "\(line)")
      }
      for _ in 0..<100 where ranks.contains(where: isAlive) { usleep(100_000) }
      #expect(ranks.count == 3 && ranks.allSatisfy { !isAlive($0) })
      for rank in ranks { kill(rank, SIGKILL) }
      // Nothing is lost.
      #expect(try Checkpoint(path: scratch("run")).state.step >= 20)
    }

    /// One that ends, or sleeps, before MPI has started: mpirun does not notice.
    @Test(arguments: ["exit 0", "sleep 60"]) func aRankThatDoesNotStartIsNoticed(_ instead: String) throws {
      let outcome = try Command.run(
        train(), environment: ["LINEUP_START_SECONDS": "2"],
        prefix: Mpirun.here(1) + ["sh", "-c", instead, ":", "-n", "2"], timeout: 30)
      // MPICH's mpirun may go on until the ranks have it killed.
      #expect(outcome.code == 69 || Mpirun.isMPICH && outcome.code == -SIGKILL, "\(outcome.errors)")
      #expect(outcome.complaints.count == 2, "\(outcome.errors)")
      for rank in [1, 2] {
        let line = outcome.complaints.first { $0.hasPrefix("lineup: rank \(rank) on ") } ?? ""
        #expect(line.contains("not all ranks have started: waited 2 s in MPI_Init (LINEUP_START_SECONDS)"), "\(line)")
      }
    }

    @Test func theLimitOfTheStartIsANumber() throws {
      let outcome = try Command.run(train(), ranks: 1, environment: ["LINEUP_START_SECONDS": "soon"])
      #expect(outcome.code == 64 && outcome.complaints.first?.contains("LINEUP_START_SECONDS is soon") == true)
    }

    /// A rank that still answers, but whose work is stuck: storage that never confirms a checkpoint.
    @Test func aRankThatStandsStillIsNamed() throws {
      let library = scratch("stuck.so"), source = scratch("stuck.c")
      try "unsigned sleep(unsigned); int fsync(int file) { sleep(1000); return 0; }".write(
        toFile: source, atomically: false, encoding: .utf8)
      let compiler = Process()
      compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      compiler.arguments = ["cc", "-shared", "-fPIC", "-o", library, source]
      try compiler.run()
      compiler.waitUntilExit()
      try #require(compiler.terminationStatus == 0)
      let outcome = try Command.run(
        train(), prefix: Mpirun.here(2) + ["env", "LD_PRELOAD=\(library)"], timeout: 40)
      #expect(outcome.code == 69, "\(outcome.errors)")
      let line = outcome.complaints.first ?? ""
      #expect(line.contains("rank 1 on ") && line.contains(": rank 0 on "), "\(outcome.complaints)")
      #expect(line.contains("it has stood still for "), "\(line)")
    }

    /// Ranks without their launcher checkpoint and end.
    @Test(.disabled(if: Mpirun.killsRanks, "this mpirun's daemons kill the ranks"))
    func withoutMpirunTheRanksSaveAndEnd() throws {
      let files = RunFiles(path: scratch("run"))
      var ranks: [pid_t] = [], at = 0
      let outcome = try Command.run(train("checkpoint.everySteps=0"), ranks: 2, timeout: 40) { process in
        guard ranks.isEmpty, files.steps >= 25 else { return }
        ranks = Mpirun.ranks(of: process)
        at = files.steps
        kill(process, SIGKILL)
      }
      #expect(outcome.code == -SIGKILL && ranks.count == 2)
      for _ in 0..<100 where ranks.contains(where: isAlive) { usleep(100_000) }
      #expect(ranks.allSatisfy { !isAlive($0) })
      #expect(try Checkpoint(path: scratch("run")).state.step >= at)
    }

    /// A rank that only takes its time is waited for, however long.
    @Test func aSlowRankIsNotAccused() throws {
      let files = RunFiles(path: scratch("run"))
      var stops = 0
      let outcome = try Command.run(
        train("schedule.maxSteps=200", "watchdog.seconds=4"), ranks: 2, timeout: 60
      ) { process in
        guard stops < 3, files.steps >= 20 * (stops + 1), let rank = Mpirun.ranks(of: process).last else { return }
        kill(rank, SIGSTOP)
        usleep(1_500_000)
        kill(rank, SIGCONT)
        stops += 1
      }
      #expect(outcome.code == 0 && stops == 3, "\(outcome.errors)")
    }
  }
}
