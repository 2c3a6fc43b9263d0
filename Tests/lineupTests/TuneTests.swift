import Foundation
import Testing
import Training

extension CommandTests {
  /// `lineup tune` as a user meets it.
  @Suite(.serialized) struct TuneTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 20)
    }

    private func space(_ stages: Int, trials: Int, steps: Int = 5) throws -> String {
      let path = scratch("space-\(stages)-\(trials)-\(steps).yaml")
      let text = """
        {stages: \(stages), trials: \(trials), initial: 2, steps: \(steps), heldOut: 0.3, keys: {
          optimizer.learningRate: {from: 1.0e-4, to: 1.0e-2, scale: log}, sampling.images: {from: 2, to: 3}}}
        """
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      return path
    }

    private func command(_ output: String, _ space: String, _ settings: String...) -> [String] {
      ["tune", "--data", data, "--output", scratch(output), "--space", space] + Tiny.training
        + Tiny.settings("schedule.steps=[]", "checkpoint.keep=1") + settings.flatMap { ["--set", $0] }
    }

    /// A search to its end; what it says.
    @discardableResult
    private func search(_ arguments: [String], ranks: Int? = nil) throws -> String {
      let outcome = try Command.run(arguments, ranks: ranks, timeout: 240)
      try #require(outcome.code == 0 && outcome.complaints.isEmpty, "\(outcome)")
      return outcome.output
    }

    /// The trials without the seconds that they took.
    private func trials(_ output: String) throws -> [[String: Double?]] {
      try scratch.text("\(output)/trials.jsonl").split(separator: "\n").map { line in
        let numbers = try JSONDecoder().decode([String: Double?].self, from: Data(line.utf8))
        return numbers.filter { $0.key != "seconds" }
      }
    }

    /// Stages of one trial are a run and another that goes on from it, bit for bit.
    @Test func aStageOfOneTrialIsAPlainResumedRun() throws {
      let output = try search(command("search", space(2, trials: 1)))
      let trials = try trials("search")
      #expect(trials.count == 2 && output.contains("stage 2, trial 1: mAP ") && output.contains("checkpoint   "))
      var from: [String] = []
      for (stage, trial) in zip(1..., trials) {
        let images = Int(trial["sampling.images"]!!), rate = trial["optimizer.learningRate"]!!
        let settings = [
          "optimizer.learningRate=\(rate)", "sampling.images=\(images)", "sampling.identities=\(8 / images)",
          "schedule.epochs=\(5 * stage)", "schedule.maxSteps=\(5 * stage)", "schedule.steps=[]", "checkpoint.keep=1",
        ]
        let plain = scratch("plain-\(stage)")
        try Command.succeed(
          ["train", "--data", scratch("search/data.csv"), "--output", plain] + Tiny.training
            + settings.flatMap { ["--set", $0] } + from)
        from = ["--resume-from", plain]
        let run = RunFiles(path: scratch("search/stage-\(stage)/trial-1"))
        try run.expectSameCheckpoint(as: RunFiles(path: plain), step: 5 * stage)
        #expect(try abs(run.metrics().last!["mAP"]! - trial["mAP"]!!) <= 5.1e-10)
        #expect(try run.metrics().trainingSteps == Array(5 * stage - 4...5 * stage))
      }
    }

    /// Stopped in a trial and started again, or on two ranks, it makes the same trials.
    @Test func interruptedItGoesOn() throws {
      let space = try space(2, trials: 2, steps: 8)
      try search(command("whole", space))
      let whole = try trials("whole")
      #expect(whole.count == 4 && Set(whole.map { $0["optimizer.learningRate"] }).count > 2)
      var isSent = false
      let stopped = try Command.run(command("stopped", space), timeout: 240) { process in
        guard !isSent, RunFiles(path: scratch("stopped/stage-2/trial-1")).steps > 3 else { return }
        kill(process, SIGTERM)
        isSent = true
      }
      let ended = try trials("stopped").count
      #expect(stopped.code == 75 && stopped.complaints.isEmpty && (2...3).contains(ended), "\(stopped)")
      #expect(stopped.output.contains("to go on: the same search again") && !stopped.output.contains("--resume"))
      let resumed = try search(command("stopped", space))
      #expect(resumed.contains("resumed from"))
      #expect(try trials("stopped") == whole)
      try search(command("ranks", space), ranks: 2)
      #expect(try trials("ranks") == whole)
      // At its end there is nothing to do but to say what was found; another search has no place there.
      let again = try search(command("whole", space))
      #expect(try trials("whole") == whole && again.contains("stage  trial     mAP  settings"))
      #expect(try Checkpoint(path: scratch("whole/stage-2/trial-1")).state.step == 16)
      let other = try Command.run(command("whole", space, "seed=9"))
      #expect(other.code == 64 && other.complaints.first?.contains("the search was begun with seed 1, not 9") == true)
    }

    @Test func aTrialThatDivergesCountsAsTheWorst() throws {
      // No step counts at so large a scale.
      let outcome = try Command.run(
        command("lost", space(1, trials: 2), "lossScale.initial=18446744073709551616", "divergence.skippedSteps=2"))
      #expect(outcome.code == 76 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("all trials of stage 1 diverged") == true)
      #expect(try trials("lost").map { $0["mAP"]! } == [nil, nil])
    }

    @Test func wrongInputIsNamed() throws {
      let good = try space(1, trials: 1)
      func file(_ text: String) throws -> String {
        let path = scratch("wrong-\(UUID().uuidString).yaml")
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        return path
      }
      try Data().write(to: URL(fileURLWithPath: scratch("file")))
      // A folder of the user's, whose own data.csv stays.
      try FileManager.default.createDirectory(atPath: scratch("own"), withIntermediateDirectories: false)
      try Data("mine".utf8).write(to: URL(fileURLWithPath: scratch("own/data.csv")))
      for (code, words, arguments) in [
        (64, ["stagez", "an option among stages"], command("a", try file("stagez: 2"))),
        (
          64, ["losses.triplet.margin", "it must be"],
          command("a", try file("keys: {losses.triplet.margin: {from: -5, to: 1}}"))
        ),
        (
          64, ["keys.losses.triplet.margin", "the losses are those of model.heads"],
          command("a", try file("keys: {losses.triplet.margin: {from: 0.1, to: 1}}"), "model.heads=[{name: one}]")
        ),
        (64, ["no such configuration file"], command("a", scratch("none.yaml"))),
        (
          64, ["a batch would take 4 identities", "3 are left"],
          command(
            "a",
            try file(
              "{heldOut: 0.7, keys: {optimizer.learningRate: {from: 1.0e-4, to: 1.0e-2}}}"))
        ),
        (65, ["too few"], command("a", try file("{heldOut: 0.9, keys: {optimizer.learningRate: {from: 1, to: 2}}}"))),
        (64, ["--output", "is no folder"], command("file", good)),
        (64, ["--output", "something else than a search (data.csv)"], command("own", good)),
        (64, ["--space"], Array(command("a", good).filter { $0 != "--space" && $0 != good })),
        (64, ["--data", "is given twice"], command("a", good) + ["--data", data]),
      ] as [(Int32, [String], [String])] {
        let outcome = try Command.run(arguments), complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(words): \(outcome)")
        #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
      }
      #expect(!FileManager.default.fileExists(atPath: scratch("a")))
      #expect(try scratch.text("own/data.csv") == "mine")
    }
  }
}
