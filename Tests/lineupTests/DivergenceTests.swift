import Foundation
import Testing
import Training

extension UntimedCommandTests {
  /// Numbers that are lost: the run ends, goes back to what was good, and saves nothing that is not.
  @Suite(.serialized) struct DivergenceTests {
    private let scratch: Scratch, data: String, files: RunFiles

    /// A run of eight good steps, the last of them saved; what follows at a learning rate of 1e6 is ruined by one step.
    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
      files = RunFiles(path: scratch("run"))
    }

    private func train(_ settings: String..., resume: Bool = true) -> [String] {
      ["train", "--data", data, "--output", files.path] + Tiny.training
        + settings.flatMap { ["--set", $0] } + (resume ? ["--resume"] : [])
    }

    private func begin() throws { try Command.succeed(train("schedule.epochs=1", resume: false)) }

    private func checkpoints() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: files.path + "/checkpoints").filter { $0.hasPrefix("step-") }
        .sorted()
    }

    private func expectDiverged(
      _ outcome: Command.Outcome, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
      #expect(
        outcome.code == 76 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)",
        sourceLocation: sourceLocation)
      for word in words {
        #expect(
          outcome.complaints.first?.contains(word) == true, "\(outcome.complaints) lacks \(word)",
          sourceLocation: sourceLocation)
      }
    }

    @Test(arguments: [nil, 2] as [Int?]) func theLastGoodCheckpointIsOneThatIsProven(_ ranks: Int?) throws {
      try begin()
      let good = files.bytes("checkpoints/\(RunFiles.name(8))/model.safetensors")
      let outcome = try Command.run(
        train("schedule.epochs=200", "checkpoint.everySteps=1", "checkpoint.keep=1", "optimizer.learningRate=1e6"),
        ranks: ranks)
      // Step 9 is finite, and gives nothing that is.
      expectDiverged(outcome, "the last good checkpoint is \(files.checkpoint(8));")
      #expect(try checkpoints() == [RunFiles.name(8), RunFiles.name(9)] && files.latest == RunFiles.name(8))
      #expect(files.bytes("checkpoints/\(RunFiles.name(8))/model.safetensors") == good && good != nil)
      let list = try Command.succeed(["checkpoint", "list", files.path])
      let marks = list.output.split(separator: "\n").first ?? ""
      #expect(marks.contains("latest") && marks.contains("proven"), "\(list.output)")
      try Command.succeed(["checkpoint", "prune", files.path, "--keep", "1"])
      #expect(try checkpoints().contains(RunFiles.name(8)))
      // A wiser learning rate goes on from there.
      let resumed = try Command.succeed(train("schedule.epochs=2"), ranks: ranks)
      #expect(resumed.output.contains("resumed from \(files.checkpoint(8)): step 8"))
      #expect(try files.metrics().trainingSteps == Array(1...16))
    }

    @Test func nothingIsSavedAtTheEndWhileStepsAreSkipped() throws {
      try begin()
      for settings in [["schedule.epochs=2"], ["schedule.epochs=9", "schedule.maxSteps=10"]] {
        let outcome = try Command.run(
          train("optimizer.learningRate=1e6", "checkpoint.keep=1", "evaluation.everyEpochs=1")
            + settings.flatMap {
              ["--set", $0]
            })
        expectDiverged(outcome, "diverged at step ", "the last good checkpoint is \(files.checkpoint(8));")
        #expect(try checkpoints() == [RunFiles.name(8)] && files.latest == RunFiles.name(8))
      }
    }

    /// The very last step counts and ruins the network: only the evaluation shows it.
    @Test(arguments: [nil, 2] as [Int?]) func featuresThatAreNotFiniteAreADivergence(_ ranks: Int?) throws {
      try begin()
      let outcome = try Command.run(
        train(
          "schedule.epochs=2", "schedule.maxSteps=9", "optimizer.learningRate=1e6", "evaluation.everyEpochs=1",
          "checkpoint.keep=1"), ranks: ranks)
      expectDiverged(
        outcome, "the evaluation after step 9: the features of \(data)/query/",
        "the last good checkpoint is \(files.checkpoint(8));")
      #expect(files.latest == RunFiles.name(8))
      let ruined = ["--checkpoint", files.checkpoint(9)]
      for arguments in [
        ["evaluate", "--data", data] + ruined,
        ["extract", "--images", data + "/query", "--output", scratch("f.npy")] + ruined,
      ] {
        let outcome = try Command.run(arguments, ranks: ranks)
        #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
        #expect(
          outcome.complaints.first?.contains("\(files.checkpoint(9)): the features of \(data)/query/") == true,
          "\(outcome.complaints)")
      }
    }

    @Test(arguments: [nil, 2] as [Int?]) func aRunInWhichNoStepCountsHasNothingToSave(_ ranks: Int?) throws {
      let outcome = try Command.run(
        train("schedule.maxSteps=3", "lossScale.initial=16777216", resume: false), ranks: ranks)
      expectDiverged(outcome, "no step has counted", "there is no checkpoint yet", "lossScale.initial")
      #expect(files.latest == nil && !FileManager.default.fileExists(atPath: files.path + "/checkpoints"))
    }

    /// From float32, which needs no loss scale, to float16, whose first ones are far too large.
    @Test(arguments: [nil, 2] as [Int?]) func askedToStopWhileStepsAreSkipped(_ ranks: Int?) throws {
      func stopped(_ resume: Bool) throws -> Command.Outcome {
        let before = files.steps
        var isSent = false
        return try Command.run(
          train(
            "schedule.epochs=9", "lossScale.initial=18446744073709551616", "divergence.skippedSteps=1000",
            "precision.storage=float16", "input.height=256", "input.width=128", resume: resume), ranks: ranks
        ) { process in
          guard !isSent, files.steps > before + 2 else { return }
          kill(process, SIGUSR1)
          isSent = true
        }
      }
      let first = try stopped(false)
      #expect(first.code == 75 && first.output.contains("there is no checkpoint yet"), "\(first.errors)")
      #expect(files.latest == nil)
      try Command.succeed(
        train("schedule.epochs=1", "precision.storage=float32", "input.height=256", "input.width=128", resume: false)
          + ["--restart"])
      let second = try stopped(true)
      #expect(second.code == 75 && second.complaints.isEmpty, "\(second.errors)")
      #expect(second.output.contains("the latest checkpoint is \(files.checkpoint(8))"), "\(second.output.suffix(500))")
      #expect(try checkpoints() == [RunFiles.name(8)] && files.latest == RunFiles.name(8))
    }

    /// A loss scale that grows after each clean step is too large again and again.
    private var restless: [String] {
      train(
        "schedule.epochs=200", "checkpoint.keep=1000", "lossScale.growthInterval=1", "lossScale.initial=1024",
        "precision.storage=float16", "divergence.skippedSteps=1000", resume: false)
    }

    @Test func aSkippedStepOnlyDelaysACheckpoint() throws {
      let settings = ["--set", "checkpoint.everySteps=2", "--set", "schedule.maxSteps=30"]
      try Command.succeed(restless + settings)
      let skipped = try files.metrics().map { Int($0["skipped"] ?? 0) }
      let counted = (1...30).filter { skipped[$0 - 1] == ($0 > 1 ? skipped[$0 - 2] : 0) }
      let due = stride(from: 2, through: 28, by: 2)
      #expect(due.contains { !counted.contains($0) }, "no step that a checkpoint is due at was skipped")
      let expected = Set(due.compactMap { due in counted.first { $0 >= due } } + [30])
      #expect(try checkpoints() == expected.sorted().map(RunFiles.name))
    }

    /// Whether the step that it is asked in counts or not, nothing is lost.
    @Test(arguments: [nil, 2] as [Int?]) func askedToStopAfterASkippedStepItSavesAfterTheNextThatCounts(_ ranks: Int?)
      throws
    {
      for wanted in 16...17 {
        var isSent = false
        try? FileManager.default.removeItem(atPath: files.path)
        let outcome = try Command.run(restless, ranks: ranks) { process in
          guard !isSent, files.steps >= wanted else { return }
          kill(process, SIGUSR1)
          isSent = true
        }
        #expect(outcome.code == 75, "\(outcome.errors)")
        let last = try #require(files.metrics().trainingSteps.last)
        #expect(
          outcome.output.contains("asked to stop: checkpointed after step \(last)"), "\(outcome.output.suffix(500))")
        #expect(files.latest == RunFiles.name(last))
      }
    }
  }
}
