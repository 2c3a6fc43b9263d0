import Foundation
import Testing
import Training

extension CommandTests {
  /// `lineup sensitivity` as a user meets it; what it computes is OutputSensitivityTests' matter.
  @Suite(.serialized) struct SensitivityTests {
    private let scratch: Scratch, data: String

    private struct Report: Decodable, Equatable {
      let of: String, on: String, sigma: Double, images: Int, outputs: Int
      let sensitivity: Double, deviation: Double, seeds: [Double], crossEntropy: Double?
    }

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training + Tiny.settings("schedule.epochs=2"))
    }

    private func measure(_ name: String, ranks: Int? = nil, _ options: String...) throws -> Report {
      let path = scratch(name + ".json")
      let output = try Command.succeed(
        ["sensitivity", "--checkpoint", scratch("run"), "--data", data, "--json", path] + options, ranks: ranks
      ).output
      #expect(output.contains("sensitivity ") && output.contains("cross-entropy") == options.contains("train"))
      return try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    @Test func isTheSameOnAnyNumberOfRanks() throws {
      let one = try measure("one", "--images", "13", "--on", "train")
      #expect(one.of == "logits" && one.images == 13 && one.outputs == 8 && one.seeds.count == 5 && one.sigma == 0.1)
      #expect(one.seeds.allSatisfy { $0 > 0 } && one.crossEntropy! > 0 && one.deviation < one.sensitivity)
      for ranks in [2, 3] {
        let many = try measure("many", ranks: ranks, "--images", "13", "--on", "train", "--set", "evaluation.batch=4")
        #expect(many == one, "\(ranks) ranks")
      }
      let embedding = try measure("embedding", "--of", "embedding", "--seeds", "2")
      #expect(embedding.outputs == 32 && embedding.seeds.count == 2 && embedding.on == "test")
      #expect(embedding.crossEntropy == nil && embedding.sensitivity > 0 && embedding.sensitivity != one.sensitivity)
      // A network that is nearly linear for small noise: a tenth of it, a hundredth of the variance.
      let less = try measure("less", "--images", "13", "--sigma", "0.001", "--on", "train")
      let least = try measure("least", "--images", "13", "--sigma", "0.0001", "--on", "train")
      #expect(abs(least.sensitivity * 100 / less.sensitivity - 1) < 0.2)
    }

    @Test func wrongInputIsNamed() throws {
      let command = ["sensitivity", "--checkpoint", scratch("run"), "--data", data]
      for (words, code, arguments) in [
        (["--sigma", "0"], 64, command + ["--sigma", "0"]), (["--sigma"], 64, command + ["--sigma", "nan"]),
        (["--images"], 64, command + ["--images", "1"]), (["--seeds"], 64, command + ["--seeds", "0"]),
        (["--of"], 64, command + ["--of", "features"]),
        (["no such checkpoint"], 65, ["sensitivity", "--checkpoint", scratch("none"), "--data", data]),
        (["data.faces.test is blurred"], 65, command + ["--set", "data.faces.test=blurred"]),
        (["data.faces.train is blurred"], 65, command + ["--on", "train", "--set", "data.faces.train=blurred"]),
        (["0 test images", "two or more"], 65, Array(command.dropLast()) + [try scratch.list(data, count: 2)]),
      ] as [([String], Int32, [String])] {
        let outcome = try Command.run(arguments), complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(arguments.suffix(2)): \(outcome)")
        #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
      }
    }
  }
}
