import Foundation
import Testing
import Training

extension CommandTests {
  /// `lineup train`: what a run leaves behind, and that it does not depend on the number of ranks.
  @Suite(.serialized) struct TrainTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test(arguments: [nil, 2] as [Int?]) func aRunLeavesWhatIsPromised(_ ranks: Int?) throws {
      let data = try scratch.dataset()
      let outcome = try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings(
            "schedule.epochs=3", "evaluation.everyEpochs=1", "evaluation.beforeTraining=true",
            "checkpoint.everyEpochs=1", "checkpoint.keep=1", "optimizer.learningRate=0.001"), ranks: ranks)
      let run = RunFiles(path: scratch("run")), lines = try run.metrics()

      let training = lines.filter { $0["loss"] != nil }, evaluations = lines.filter { $0["mAP"] != nil }
      let epochs = (0..<24).map { $0 / 8 + 1 }
      #expect(lines.trainingSteps == Array(1...24))
      #expect(training.integers("epoch") == epochs)
      for line in training {
        for key in [
          "step", "epoch", "loss", "crossEntropy", "triplet", "learningRate", "lossScale", "skipped", "seconds",
          "imagesPerSecond",
        ] { #expect(line[key] != nil, "\(key)") }
        #expect(abs(line["loss"]! - line["crossEntropy"]! - line["triplet"]!) < 1e-5 * line["loss"]!)
        #expect(line["learningRate"] == 0.001 && line["images"] == 8 && line["damaged"] == 0)
        #expect(abs(line["imagesPerSecond"]! * line["seconds"]! - 8) < 1e-6)
      }
      #expect(evaluations.integers("step") == [0, 8, 16, 24])
      for line in evaluations {
        for key in ["mAP", "rank1", "rank5", "rank10"] { #expect((0...1).contains(line[key] ?? -1), "\(key)") }
        #expect(line["rank1"]! <= line["rank5"]! && line["rank5"]! <= line["rank10"]!)
      }

      let best = try #require(evaluations.dropFirst().max { $0["mAP"]! < $1["mAP"]! })
      let saved = try FileManager.default.contentsOfDirectory(atPath: scratch("run/checkpoints"))
      let bestStep = Int(best["step"]!)
      // One is kept, and the best, and the last that a step has followed.
      let kept = Set([RunFiles.name(24), RunFiles.name(bestStep), RunFiles.name(16)])
      #expect(Set(saved) == kept.union(["latest", "best", "proven"]))
      #expect(run.latest == RunFiles.name(24))
      #expect(try scratch.text("run/checkpoints/best") == RunFiles.name(bestStep) + "\n")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.checkpoint(24)).sorted() == [
          "config.yaml", "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
        ])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == [
          "checkpoints", "config.yaml", "log.txt", "metrics.jsonl",
        ] + (ranks == nil ? [] : ["ranks.jsonl"]))

      let configuration = try Configuration.resolve(file: scratch("run/config.yaml"))
      #expect(configuration.model.width == 0.0625 && configuration.schedule.epochs == 3 && configuration.threads == 1)
      #expect(configuration == (try Checkpoint(path: run.path).state.configuration))
      #expect(try configuration.yaml() == scratch.text("run/config.yaml"))

      for text in ["train 32 images of 8 identities", "memory: ", "step 8/8", "Rank-1  : ", "checkpoint "] {
        #expect(run.log.contains(text) && outcome.output.contains(text), "\(text)")
      }
    }

    @Test func theLossFalls() throws {
      let data = try scratch.dataset(images: 4)
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.network
          + Tiny.settings(
            "sampling.identities=8", "sampling.images=4", "schedule.epochs=15", "optimizer.learningRate=0.003",
            "losses.triplet.weight=0.1", "evaluation.everyEpochs=0", "data.augmentation=false"), ranks: 2)
      let losses = try RunFiles(path: scratch("run")).metrics().compactMap { $0["crossEntropy"] }
      #expect(losses.count == 120 && losses.suffix(8).reduce(0, +) < 0.5 * losses.prefix(8).reduce(0, +))
    }

    /// A fresh narrow network at the recipe's rate is chaotic: what rounding begins, each step multiplies about tenfold.
    /// So this holds only because the sums over ranks are exact, and then to the last bit. In float64 they are ordinary,
    /// and only the first steps are compared.
    @Test(arguments: ["float16", "float32", "float64"])
    func twentyStepsDoNotDependOnTheRanks(_ storage: String) throws {
      let data = try scratch.dataset(identities: 40)
      func models(_ ranks: Int?) throws -> (early: TensorFile, late: TensorFile) {
        let run = RunFiles(path: scratch("\(ranks ?? 0)"))
        try Command.succeed(
          ["train", "--data", data, "--output", run.path] + Tiny.training
            + Tiny.settings(
              "sampling.identities=8", "sampling.images=2", "schedule.maxSteps=20", "precision.storage=\(storage)",
              "lossScale.initial=64", "checkpoint.everySteps=4", "checkpoint.keep=9"), ranks: ranks)
        #expect(run.latest == RunFiles.name(20))
        return (
          try TensorFile(run.checkpoint(4) + "/model.safetensors"),
          try TensorFile(run.checkpoint(20) + "/model.safetensors")
        )
      }
      let one = try models(nil)
      // Far more than the tolerances: the steps do move the parameters.
      #expect(one.late.distance(from: one.early) > 5e-3)
      for ranks in [2, 3, 4] {
        let many = try models(ranks)
        if storage == "float64" {
          #expect(many.early.distance(from: one.early) <= 1e-11, "\(ranks) ranks, 4 steps")
        } else {
          #expect(many.late.distance(from: one.late) == 0, "\(ranks) ranks, 20 steps")
        }
      }
    }

    @Test func weightsAreLoadedAndTheListIsPrinted() throws {
      let data = try scratch.dataset()
      try Command.succeed(
        ["probe", "--initialize", scratch("w"), "--identities", "5"] + Tiny.network + Tiny.settings("seed=9"))
      let outcome = try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings(
            "schedule.epochs=1", "model.weights=\(scratch("w"))", "optimizer.learningRate=1e-12",
            "optimizer.weightDecay=0"))
      #expect(outcome.output.contains("\(scratch("w")): "))
      #expect(outcome.output.contains("classifier.weight: shape [5, 32] in the file, [8, 32] here"))
      let before = try TensorFile(scratch("w"), without: "running_")
      let run = RunFiles(path: scratch("run"))
      let after = try TensorFile(run.checkpoint(8) + "/model.safetensors", without: "running_")
      for (name, values) in before.values where !name.hasPrefix("classifier") {
        let moved = zip(values, after.values[name] ?? []).map { abs($0 - $1) }.max() ?? .infinity
        #expect(moved < 1e-6, "\(name)")
      }
    }
  }
}
