import Foundation
import Testing
import Training

extension CommandTests {
  /// A signal in the middle of an evaluation: the epoch is saved already, and is evaluated when the run goes on.
  @Suite(.serialized) struct InterruptedEvaluationTests {
    @Test(arguments: [nil, 2] as [Int?]) func itIsMadeWhenTheRunGoesOn(_ ranks: Int?) throws {
      let scratch = try Scratch(), data = try scratch.dataset(identities: 40, images: 4, cameras: 4)
      func train(_ run: String, _ options: String...) -> [String] {
        ["train", "--data", data, "--output", scratch(run)] + Tiny.training
          + Tiny.settings(
            "input.height=256", "input.width=128", "schedule.epochs=2", "schedule.maxSteps=24",
            "evaluation.everyEpochs=1",
            "evaluation.batch=1", "checkpoint.keep=9", "lossScale.initial=64") + options
      }
      try Command.succeed(train("whole"), ranks: ranks)
      let files = RunFiles(path: scratch("run"))
      var isSent = false
      let outcome = try Command.run(train("run"), ranks: ranks) { process in
        guard !isSent, files.latest != nil else { return }
        kill(process, SIGUSR1)
        isSent = true
      }
      #expect(outcome.code == 75, "\(outcome.errors)")
      #expect(try files.metrics().trainingSteps == Array(1...20) && files.metrics().filter { $0["mAP"] != nil }.isEmpty)
      let resumed = try Command.succeed(train("run", "--resume"), ranks: ranks)
      let evaluation = try #require(resumed.output.range(of: "evaluation after 20 steps"))
      #expect(resumed.output.range(of: "step 1/20").map { evaluation.lowerBound < $0.lowerBound } == true)
      let mine = try files.metrics(), whole = try RunFiles(path: scratch("whole")).metrics()
      #expect(
        mine.compactMap { $0["mAP"] } == whole.compactMap { $0["mAP"] } && mine.filter { $0["mAP"] != nil }.count == 2)
      for name in ["model.safetensors", "state.json"] {
        let path = "checkpoints/\(RunFiles.name(24))/\(name)"
        #expect(files.bytes(path) == RunFiles(path: scratch("whole")).bytes(path), "\(name)")
      }
    }
  }
}
