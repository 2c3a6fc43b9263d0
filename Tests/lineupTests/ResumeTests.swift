import Foundation
import Testing
import Training

extension CommandTests {
  /// Interrupted and resumed, a run ends with the same bytes as one that was left alone.
  @Suite(.serialized) struct ResumeTests {
    private let scratch: Scratch, data: String
    /// Long enough that a run is still going when a signal comes.
    private static let steps = 120

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func command(_ run: String, resume: Bool = false, _ settings: String...) -> [String] {
      let fixed = Tiny.settings("schedule.epochs=\(Self.steps / 8)", "checkpoint.everySteps=40", "checkpoint.keep=2")
      return ["train", "--data", data, "--output", scratch(run)] + Tiny.training + fixed
        + settings.flatMap { ["--set", $0] } + (resume ? ["--resume"] : [])
    }

    /// Sends `signal` once the run has done so many steps.
    private func interrupt(_ run: String, at step: Int, with signal: Int32, ranks: Int?) throws -> Command.Outcome {
      let files = RunFiles(path: scratch(run))
      var isSent = false
      return try Command.run(command(run), ranks: ranks) { process in
        guard !isSent, files.steps >= step else { return }
        // mpirun that dies may let its ranks end in order; so it is the ranks that are killed.
        let victims = signal == SIGKILL && ranks != nil ? Mpirun.ranks(of: process) : [process]
        for victim in victims { kill(victim, signal) }
        isSent = true
      }
    }

    private func expectTheSame(_ run: String, as reference: String) throws {
      try RunFiles(path: scratch(run)).expectSameEnd(as: RunFiles(path: scratch(reference)), steps: Self.steps)
    }

    @Test(arguments: [nil, 2] as [Int?]) func interruptedAndResumedIsTheSameToTheLastBit(_ ranks: Int?) throws {
      try Command.succeed(command("whole"), ranks: ranks)
      // mpirun hands on SIGUSR1; SIGTERM and SIGINT it takes for itself.
      let signals = ranks == nil ? [SIGTERM, SIGINT, SIGUSR1] : [SIGUSR1]
      for signal in signals {
        let run = "stopped-\(signal)"
        let outcome = try interrupt(run, at: 37, with: signal, ranks: ranks)
        #expect(outcome.code == 75 && outcome.complaints.isEmpty, "\(outcome.errors)")
        let files = RunFiles(path: scratch(run)), state = try Checkpoint(path: files.path).state
        #expect(state.step >= 37 && state.step < Self.steps)
        #expect(try files.metrics().integers("step").last == state.step)
        #expect(outcome.output.contains("asked to stop: checkpointed after step \(state.step)"))
        #expect(outcome.output.contains("to go on: the same command with --resume"))
        let resumed = try Command.succeed(command(run, resume: true), ranks: ranks)
        #expect(resumed.output.contains("resumed from \(files.checkpoint(state.step)): step \(state.step)"))
        #expect(!resumed.output.contains("differs from the checkpoint"))
        try expectTheSame(run, as: "whole")
      }
    }

    @Test(arguments: [nil, 2] as [Int?]) func killedBetweenCheckpointsItGoesBackToTheLast(_ ranks: Int?) throws {
      try Command.succeed(command("whole"), ranks: ranks)
      let outcome = try interrupt("killed", at: 55, with: SIGKILL, ranks: ranks)
      #expect(ranks == nil ? outcome.code == -SIGKILL : outcome.code > 0)
      let files = RunFiles(path: scratch("killed"))
      let state = try Checkpoint(path: files.path).state
      // Ranks that lose mpirun may be told to stop in the moment they have left, and then checkpoint where they stand.
      #expect(state.step >= 40 && state.step < Self.steps && (state.step % 40 == 0 || ranks != nil))
      #expect(files.steps >= state.step)  // metrics may have lines that the resumed run makes again
      // What a crash in the middle of a line and of a checkpoint leaves.
      let log = try #require(FileHandle(forWritingAtPath: scratch("killed/metrics.jsonl")))
      try log.seekToEnd()
      try log.write(contentsOf: Data("{\"step\": 9".utf8))
      try FileManager.default.createDirectory(
        atPath: scratch("killed/checkpoints/.step-00000120.partial-1-a"), withIntermediateDirectories: true)
      try Command.succeed(command("killed", resume: true), ranks: ranks)
      try expectTheSame("killed", as: "whole")
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch("killed/checkpoints"))
      #expect(!left.contains { $0.hasPrefix(".") })
    }

    @Test func anotherNumberOfRanksGoesOnWithinRounding() throws {
      let common = Tiny.training + Tiny.settings("optimizer.learningRate=0.00003", "lossScale.initial=64")
      for (storage, tolerance) in [("float16", 1e-3), ("float64", 1e-9)] {
        func model(_ run: String) throws -> TensorFile {
          try TensorFile(RunFiles(path: scratch(run)).checkpoint(24) + "/model.safetensors", without: "running_")
        }
        let common = common + Tiny.settings("precision.storage=\(storage)")
        for (run, first, second) in [("a", nil, nil), ("b", nil, 3), ("c", 2, nil)] as [(String, Int?, Int?)] {
          for (epochs, ranks) in [(1, first), (3, second)] {
            try Command.succeed(
              ["train", "--data", data, "--output", scratch(storage + run)] + common
                + Tiny.settings("schedule.epochs=\(epochs)") + (epochs == 3 ? ["--resume"] : []), ranks: ranks)
          }
          #expect(try model(storage + run).distance(from: model(storage + "a")) <= tolerance, "\(storage) \(run)")
        }
      }
    }

    @Test func whatDiffersIsPrinted() throws {
      let run = ["train", "--data", data, "--output", scratch("run")] + Tiny.training
      try Command.succeed(run + Tiny.settings("schedule.epochs=1"))
      let resumed = try Command.succeed(
        run + ["--resume"] + Tiny.settings("schedule.epochs=2", "optimizer.learningRate=0.001", "log.everySteps=4"))
      let lines = resumed.output.split(separator: "\n").filter { $0.contains("differs from the checkpoint") }
      #expect(
        lines == [
          "differs from the checkpoint: optimizer.learningRate was 0.00035, now 0.001",
          "differs from the checkpoint: schedule.epochs was 1, now 2",
          "differs from the checkpoint: log.everySteps was 1, now 4",
        ])
      #expect(resumed.output.contains("parameters, running statistics and moments"))
      #expect(try RunFiles(path: scratch("run")).metrics().last { $0["loss"] != nil }?["learningRate"] == 0.001)
      // What was set is the checkpoint's from then on, without being said again.
      let again = try Command.succeed(["train", "--data", data, "--output", scratch("run"), "--resume"])
      #expect(again.output.contains("nothing to do: 16 of 16 steps are done"))
      #expect(try Configuration.resolve(file: scratch("run/config.yaml")).optimizer.learningRate == 0.001)
    }

    /// An evaluation before the first step, and no checkpoint yet: the line must not be there twice.
    @Test func startedOverBeforeTheFirstCheckpointEachLineIsThereOnce() throws {
      let settings = command("run", "evaluation.beforeTraining=true", "checkpoint.everySteps=0")
      let files = RunFiles(path: scratch("run"))
      var isSent = false
      let outcome = try Command.run(settings) { process in
        guard !isSent, files.steps >= 20 else { return }
        kill(process, SIGKILL)
        isSent = true
      }
      #expect(outcome.code == -SIGKILL && files.latest == nil)
      try Command.succeed(settings + ["--resume"])
      let lines = try files.metrics()
      #expect(lines.filter { $0["mAP"] != nil }.integers("step") == [0, Self.steps])
      #expect(lines.trainingSteps == Array(1...Self.steps))
    }
  }
}
