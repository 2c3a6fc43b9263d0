import Foundation
import Storage
import Testing
import Training

extension CommandTests {
  /// Gradients across mpirun's ranks, in every wire: MPI's own sums, and the one of float16 that Lineup defines.
  @Suite(.serialized) struct WireTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    /// The gradients of one step on eight images, in whole groups of four on each of two ranks.
    private func gradients(_ ranks: Int?, _ settings: String...) throws -> TensorFile {
      let list = try scratch.list(data, count: 16)
      let weights = scratch("weights")
      let output = scratch("out")
      let network = Tiny.network + Tiny.settings("model.width=0.125")
      if !FileManager.default.fileExists(atPath: weights) {
        try Command.succeed(["probe", "--initialize", weights, "--identities", "8"] + network)
      }
      try Command.succeed(
        ["probe", "--weights", weights, "--images", list, "--output", output] + network
          + Tiny.settings("lossScale.initial=64", "communication.bucketMegabytes=1")
          + settings.flatMap { ["--set", $0] }, ranks: ranks)
      return try TensorFile(output, prefix: "gradient.")
    }

    /// Float64 is exact, with and without the regularizer; the others round to their last place and no more.
    @Test func gradientsOverMPI() throws {
      let one = try gradients(nil)
      let regularized = try gradients(nil, "msgr.lambda=0.01")
      #expect(one.isFinite && regularized.isFinite && regularized.distance(from: one) > 1e-3)
      for ranks in [2] {
        #expect(try gradients(ranks).distance(from: one) == 0, "\(ranks) ranks")
      }
      #expect(try gradients(3, "msgr.lambda=0.01").distance(from: regularized) == 0)
      for (wire, ranks, rounding) in [
        ("float32", 3, 1e-9...2e-7), ("float16", 2, 1e-5...1e-3), ("float16", 3, 1e-5...1e-3),
      ] {
        let distance = try gradients(ranks, "communication.wire=\(wire)").distance(from: one)
        #expect(rounding.contains(distance), "\(wire), \(ranks) ranks: \(distance)")
      }
    }

    /// Gradients as small and as large as a scale of the loss can make them cross in float16 unharmed.
    @Test func float16FollowsTheScaleOfTheLoss() throws {
      let storage = "precision.storage=float32"
      let exact = try gradients(nil, storage)
      for scale in [0x1p-40, 0x1p40] {
        let settings = "lossScale.initial=\(scale)"
        let many = try gradients(3, storage, settings, "communication.wire=float16")
        let distance = many.distance(from: exact)
        #expect(distance > 0 && distance < 2e-3, "\(settings): \(distance)")
      }
    }

    /// As integers gradients are exact over MPI too: one, two and four ranks, and a run that was resumed, end alike.
    @Test func integersGiveTheSameBits() throws {
      func train(_ run: String, _ ranks: Int?, steps: Int, _ more: String...) throws {
        try Command.succeed(
          ["train", "--data", data, "--output", scratch(run)] + Tiny.training
            + Tiny.settings(
              "schedule.maxSteps=\(steps)", "communication.wire=int32", "communication.bucketMegabytes=1",
              "sampling.images=4") + more, ranks: ranks)
      }
      func tensors(_ run: String) throws -> TensorFile {
        try TensorFile(RunFiles(path: scratch(run)).checkpoint(12) + "/model.safetensors")
      }
      try train("one", nil, steps: 12)
      let one = try tensors("one")
      #expect(one.isFinite)
      for ranks in [2, 4] {
        try train("\(ranks)", ranks, steps: 12, "--trace", scratch("\(ranks).json"))
        #expect(try String(contentsOfFile: scratch("\(ranks).json"), encoding: .utf8).contains("gradients as int32"))
        #expect(try tensors("\(ranks)").distance(from: one) == 0, "\(ranks) ranks")
      }
      try train("begun", 2, steps: 5)
      try train("begun", nil, steps: 12, "--resume")
      #expect(try tensors("begun").distance(from: one) == 0)
      let state = scratch("one/checkpoints/step-00000012/state.json")
      let text = try String(contentsOfFile: state, encoding: .utf8)
      #expect(text.contains("\"magnitudes\""))
      // A forged one: an exponent that no float64 has, and one tensor too many.
      let folder = scratch("one/checkpoints/step-00000012")
      for (exponent, word) in [("5000", "5000"), ("0", "magnitudes of")] {
        let forged = text.replacingOccurrences(of: "\"exponents\" : [", with: "\"exponents\" : [ \(exponent),")
        try forged.write(toFile: state, atomically: true, encoding: .utf8)
        try Manifest.write(into: folder)
        let outcome = try Command.run(
          ["train", "--data", data, "--output", scratch("forged-\(exponent)"), "--resume-from", folder] + Tiny.training
            + Tiny.settings("communication.wire=int32", "sampling.images=4", "schedule.maxSteps=13"))
        #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
        #expect(
          outcome.complaints.first?.contains(word) == true && outcome.complaints.first?.contains("state.json") == true)
      }
    }

    /// Ranks that move a part of the parameters each end as one rank does, stop and go on, and leave checkpoints that any number of
    /// them, and one that moves all, goes on from.
    @Test func ranksThatShareTheOptimizerEndAlike() throws {
      func train(_ run: String, _ ranks: Int?, steps: Int, sharded: Bool, _ more: String...) throws {
        try Command.succeed(
          ["train", "--data", data, "--output", scratch(run)] + Tiny.training
            + Tiny.settings(
              "schedule.maxSteps=\(steps)", "optimizer.sharded=\(sharded)", "communication.bucketMegabytes=1",
              "sampling.images=4", "average.decay=0.9", "evaluation.everyEpochs=1") + more, ranks: ranks)
      }
      func expectTheSame(_ run: String) throws {
        for file in ["model", "optimizer", "average"] {
          let paths = ["whole", run].map { RunFiles(path: scratch($0)).checkpoint(12) + "/\(file).safetensors" }
          #expect(FileManager.default.contentsEqual(atPath: paths[0], andPath: paths[1]), "\(run): \(file)")
        }
      }
      try train("whole", nil, steps: 12, sharded: false)
      try train("3", 3, steps: 12, sharded: true, "--trace", scratch("3.json"))
      try expectTheSame("3")
      #expect(try scratch.text("3.json").contains(" parameters\""))
      try train("begun", 3, steps: 5, sharded: true)
      try train("begun", 2, steps: 9, sharded: true, "--resume")
      try train("begun", nil, steps: 12, sharded: false, "--resume")
      try expectTheSame("begun")
      let forecast = try Command.run([
        "forecast", "--trace", scratch("3.json"), "--hosts", "2", "--network", "1gbit,50us",
      ])
      #expect(forecast.code == 65 && forecast.complaints.first?.contains("optimizer.sharded") == true)
    }

    /// A run in float16 learns about what one in float64 does, and does so again to the last bit.
    @Test func trainingInANarrowWire() throws {
      func losses(_ run: String, _ ranks: Int?, _ wire: String) throws -> [Double] {
        try Command.succeed(
          ["train", "--data", data, "--output", scratch(run)] + Tiny.training
            + Tiny.settings(
              "schedule.maxSteps=8", "communication.wire=\(wire)", "optimizer.learningRate=0.00001",
              "lossScale.initial=64"), ranks: ranks)
        return try RunFiles(path: scratch(run)).metrics().compactMap { $0["loss"] }
      }
      let exact = try losses("exact", nil, "float64")
      let narrow = try losses("narrow", 2, "float16")
      #expect(exact.count == 8 && narrow.count == 8 && narrow != exact)
      // Before any gradient has crossed: the same but for the order in which rows' losses are added up.
      #expect(abs(narrow[0] - exact[0]) < 1e-14 * exact[0])
      for (mine, theirs) in zip(narrow, exact) { #expect(abs(mine - theirs) < 0.1 * theirs) }
      #expect(try losses("again", 2, "float16") == narrow)
    }
  }
}
