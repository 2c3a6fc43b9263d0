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
      #expect(Set(saved) == ["latest", "best", RunFiles.name(24), RunFiles.name(bestStep)])
      #expect(run.latest == RunFiles.name(24))
      #expect(try scratch.text("run/checkpoints/best") == RunFiles.name(bestStep) + "\n")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.checkpoint(24)).sorted() == [
          "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
        ])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == [
          "checkpoints", "config.yaml", "log.txt", "metrics.jsonl",
        ])

      let configuration = try Configuration.resolve(file: scratch("run/config.yaml"))
      #expect(configuration.model.width == 0.0625 && configuration.schedule.epochs == 3 && configuration.threads == 1)
      #expect(configuration == (try Checkpoint(path: run.path).state.configuration))
      #expect(try configuration.yaml() == scratch.text("run/config.yaml"))

      for text in ["train 32 images of 8 identities", "memory: ", "step 8/8", "Rank-1: ", "checkpoint "] {
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

    /// A fresh narrow network at the recipe's rate is chaotic: each gate that rounding opens or closes moves Adam's
    /// next step, about ten times more at each. So the first steps are compared at that rate, closely, and all twenty
    /// where the network does not multiply what rounding begins: in float64, and at a low rate in the others.
    @Test(arguments: ["float16", "float32", "float64"])
    func twentyStepsDoNotDependOnTheRanks(_ storage: String) throws {
      let data = try scratch.dataset(identities: 40)
      var models: [[String: (early: TensorFile, late: TensorFile)]] = []
      for ranks in [nil, 2, 4] as [Int?] {
        var model: [String: (early: TensorFile, late: TensorFile)] = [:]
        for rate in ["0.00035", "0.00003"] {
          let run = RunFiles(path: scratch("\(ranks ?? 0)-\(rate)"))
          try Command.succeed(
            ["train", "--data", data, "--output", run.path] + Tiny.training
              + Tiny.settings(
                "schedule.epochs=1", "precision.storage=\(storage)", "lossScale.initial=64", "checkpoint.everySteps=4",
                "checkpoint.keep=9", "optimizer.learningRate=\(rate)"), ranks: ranks)
          func parameters(_ step: Int) throws -> TensorFile {
            try TensorFile(run.checkpoint(step) + "/model.safetensors", without: "running_")
          }
          model[rate] = (try parameters(4), try parameters(20))
          #expect(run.latest == RunFiles.name(20))
        }
        models.append(model)
      }
      let one = models[0]
      let full = one["0.00035"]!, low = one["0.00003"]!, isExact = storage == "float64"
      // Far more than the tolerances: the steps do move the parameters.
      #expect(full.late.distance(from: full.early) > 5e-3)
      for (many, ranks) in zip(models.dropFirst(), [2, 4]) {
        let other = many["0.00035"]!, slow = many["0.00003"]!
        #expect(other.early.distance(from: full.early) <= (isExact ? 1e-11 : 1e-4), "\(ranks) ranks, 4 steps")
        #expect(slow.late.distance(from: low.late) <= (isExact ? 1e-9 : 1e-3), "\(ranks) ranks, 20 steps")
        if isExact { #expect(other.late.distance(from: full.late) <= 1e-3, "\(ranks) ranks, 20 steps at full rate") }
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
