import Foundation
import Testing
import Training

extension CommandTests {
  /// What the system refuses is one line and a documented code, and what diverges stops.
  @Suite(.serialized) struct ResourceTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ settings: String...) -> [String] {
      ["train", "--data", data, "--output", scratch("run")] + Tiny.training + settings.flatMap { ["--set", $0] }
    }

    private func limited(_ limit: String, _ arguments: [String]) throws -> Command.Outcome {
      try Command.run(arguments, prefix: ["bash", "-c", "\(limit); exec \"$@\"", "bash"], timeout: 30)
    }

    @Test func memoryIsComparedBeforeItIsTaken() throws {
      for megabytes in [300, 900, 2000] {
        let outcome = try limited(
          "ulimit -v \(megabytes * 1024)",
          train(
            "model.width=1", "input.height=512", "input.width=256",
            "schedule.maxSteps=1"))
        #expect(
          outcome.code == 70 && outcome.errors.split(separator: "\n").count == 1, "\(megabytes): \(outcome.errors)")
        #expect(outcome.errors.contains("memory"), "\(outcome.errors)")
      }
    }

    /// Threads that cannot be started, as an ordinary user (root has no such limit).
    @Test func threadsThatCannotBeStarted() throws {
      let bound = try limited("ulimit -v 1500000", train("threads=1000", "schedule.maxSteps=1"))
      #expect(bound.code == 70 && bound.errors.contains("thread"), "\(bound.errors)")
      #expect(bound.errors.split(separator: "\n").count == 1, "\(bound.errors)")
    }

    @Test(arguments: [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-"])
    func outputThatCannotBeWrittenEndsNothing(_ redirection: String) throws {
      let outcome = try Command.run(
        train("schedule.epochs=2"), prefix: ["bash", "-c", "exec \"$@\" \(redirection)", "bash"])
      let files = RunFiles(path: scratch("run"))
      #expect([0, 70].contains(outcome.code), "\(outcome.code)")
      #expect(files.latest == RunFiles.name(16) && files.log.contains("step 8/8"))
      #expect(try files.metrics().trainingSteps == Array(1...16))
    }

    @Test func resultsThatDoNotArriveAreAnError() throws {
      let outcome = try Command.run(
        ["describe"] + Tiny.network, prefix: ["bash", "-c", "exec \"$@\" >/dev/full", "bash"])
      #expect(outcome.code == 70 && outcome.complaints == ["lineup: standard output: No space left on device"])
      let config = try Command.run(["config"], prefix: ["bash", "-c", "exec \"$@\" >/dev/full", "bash"])
      #expect(config.code == 70 && config.complaints.first?.contains("standard output") == true)
      try Command.succeed(train("schedule.epochs=1", "log.level=warning"))
      let evaluate = ["evaluate", "--checkpoint", scratch("run"), "--data", data]
      #expect(try Command.run(evaluate, prefix: ["bash", "-c", "exec \"$@\" >/dev/full", "bash"]).code == 70)
      // A run that was told to say little is evaluated aloud.
      #expect(try Command.succeed(evaluate).output.contains("mAP: "))
    }

    @Test(arguments: [nil, 2] as [Int?]) func aDivergedRunStopsAndKeepsWhatIsGood(_ ranks: Int?) throws {
      try Command.succeed(train("schedule.epochs=1", "checkpoint.everySteps=4"))
      let outcome = try Command.run(
        train("schedule.epochs=200", "checkpoint.everySteps=1", "checkpoint.keep=1", "optimizer.learningRate=1e6") + [
          "--resume"
        ],
        ranks: ranks)
      #expect(outcome.code == 76 && outcome.complaints.count == 1, "\(outcome.errors)")
      let line = outcome.complaints.first ?? ""
      #expect(
        line.contains("diverged at step ") && line.contains(" is not finite (")
          && line.contains("the last good checkpoint is"))
      let saved = try Checkpoint(path: scratch("run"))
      #expect(line.contains("\(saved.folder);") && saved.state.lossScale.skippedInARow == 0)
      for file in ["model", "optimizer"] { #expect(try TensorFile("\(saved.folder)/\(file).safetensors").isFinite) }
      #expect(RunFiles(path: scratch("run")).steps < 150)
    }

    @Test func theNumberOfSkippedStepsIsAKey() throws {
      let outcome = try Command.run(
        train("schedule.epochs=20", "optimizer.learningRate=1e6", "divergence.skippedSteps=3"))
      #expect(outcome.code == 76 && outcome.complaints.first?.contains("3 steps in a row") == true, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("there is no checkpoint yet") == true)
    }

    /// A fresh loss scale settles; that is nothing to be warned of.
    @Test func aFreshRunBeginsWithoutWarnings() throws {
      for settings in [[], ["msgr.lambda=0.05"]] as [[String]] {
        let outcome = try Command.run(
          ["train", "--data", data, "--output", scratch("fresh\(settings.count)")] + Tiny.training
            + Tiny.settings("schedule.epochs=3", "lossScale.initial=1048576") + settings.flatMap { ["--set", $0] })
        #expect(outcome.code == 0 && outcome.output.contains("which is halved"), "\(outcome.errors)")
        #expect(!outcome.output.contains("warning") && !outcome.output.contains("nan"), "\(outcome.output)")
      }
    }
  }
}
