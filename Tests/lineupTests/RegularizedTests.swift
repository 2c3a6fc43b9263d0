import Foundation
import Testing
import Training

extension CommandTests {
  /// The gradient regularizer and adaptive L2 as a user meets them.
  @Suite(.serialized) struct RegularizedTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ run: String, epochs: Int, resume: Bool = false) -> [String] {
      ["train", "--data", data, "--output", scratch(run)] + Tiny.training
        + Tiny.settings(
          "msgr.lambda=0.01", "adaptiveL2.enabled=true", "lossScale.initial=16", "log.level=debug",
          "schedule.epochs=\(epochs)") + (resume ? ["--resume"] : [])
    }

    /// One run, one that stopped after an epoch, and one on two ranks end with the same bytes.
    @Test func resumedOrOnTwoRanksItIsTheSameToTheLastBit() throws {
      let output = try Command.succeed(train("whole", epochs: 3)).output
      #expect(output.contains("msgr ") && output.contains("l2 ") && output.contains("tangents ×"))
      try Command.succeed(train("resumed", epochs: 1))
      try Command.succeed(train("resumed", epochs: 3, resume: true))
      try Command.succeed(train("ranks", epochs: 3), ranks: 2)
      let whole = RunFiles(path: scratch("whole"))
      for run in ["resumed", "ranks"] {
        let other = RunFiles(path: scratch(run))
        for name in ["model.safetensors", "optimizer.safetensors"] {
          let path = "checkpoints/\(RunFiles.name(24))/\(name)"
          #expect(whole.bytes(path) != nil && whole.bytes(path) == other.bytes(path), "\(run): \(name)")
        }
        #expect(whole.bytes("strengths.jsonl") == other.bytes("strengths.jsonl"), "\(run)")
      }
      let lines = try whole.metrics().filter { $0["loss"] != nil }
      for key in ["msgr", "tangentScale", "adaptiveL2", "smallestStrength", "meanStrength", "largestStrength"] {
        #expect(lines.allSatisfy { $0[key]! > 0 }, "\(key)")
      }
      #expect(lines.last!["meanStrength"]! < lines.first!["meanStrength"]!)
      let strengths = String(decoding: try #require(whole.bytes("strengths.jsonl")), as: UTF8.self).split(
        separator: "\n")
      #expect(strengths.count == 3 && strengths[2].contains("\"layer1.0.conv1.weight\": 0.00"))
    }

    @Test func robustnessIsMeasuredOnAnyNumberOfRanks() throws {
      try Command.succeed(train("run", epochs: 1))
      let command = [
        "robustness", "--checkpoint", scratch("run"), "--data", data, "--at", "input,2", "--sizes", "0.01,0.1",
      ]
      struct Report: Decodable {
        struct Row: Decodable { let at: String, size: Double, embeddingGradient: Double, embeddingRandom: Double }
        let loss: Double, gradientNorms: [String: Double], rows: [Row]
      }
      func report(_ ranks: Int?) throws -> Report {
        let path = scratch("report-\(ranks ?? 0).json")
        let output = try Command.succeed(
          command + ["--json", path] + Tiny.settings("precision.storage=float64"), ranks: ranks
        ).output
        #expect(output.contains("sum of gradient norms at 2:"))
        return try JSONDecoder().decode(Report.self, from: try Data(contentsOf: URL(fileURLWithPath: path)))
      }
      let one = try report(nil), two = try report(2)
      #expect(one.rows.map(\.at) == ["input", "input", "2", "2"] && one.gradientNorms.keys.sorted() == ["2", "input"])
      #expect(one.rows.allSatisfy { $0.embeddingGradient > 0 && $0.embeddingRandom > 0 })
      #expect(one.rows[3].embeddingRandom > one.rows[2].embeddingRandom)
      #expect(abs(one.loss - two.loss) < 1e-9 * one.loss)
      for (a, b) in zip(one.rows, two.rows) {
        #expect(abs(a.embeddingRandom - b.embeddingRandom) < 1e-6 * a.embeddingRandom)
      }
    }

    @Test func probeWritesTheRegularizersOnAnyNumberOfRanks() throws {
      try Command.succeed(train("run", epochs: 1))
      let list = try scratch.list(data, count: 7)
      func probe(_ name: String, ranks: Int?, _ settings: String...) throws -> TensorFile {
        try Command.succeed(
          ["probe", "--checkpoint", scratch("run"), "--images", list, "--output", scratch(name)]
            + Tiny.settings("precision.storage=float64", "msgr.at=[input,2]") + settings.flatMap { ["--set", $0] },
          ranks: ranks)
        return try TensorFile(scratch(name))
      }
      let one = try probe("one", ranks: nil)
      for ranks in 2...4 { #expect(try probe("many", ranks: ranks).distance(from: one) < 1e-9, "\(ranks) ranks") }
      let value = { (file: TensorFile, name: String) in file.values["loss.\(name)"]![0] }
      let parts =
        value(one, "crossEntropy") + value(one, "triplet") + 0.01 * value(one, "msgr") + value(one, "adaptiveL2")
      #expect(abs(value(one, "total") - parts) < 1e-9 * parts && value(one, "msgr") > 0)
      #expect(one.values["gradient.adaptiveL2.conv1.weight"]!.count == 1)
      // The strengths are the checkpoint's, not those of the start.
      let plain = try probe("plain", ranks: nil, "msgr.lambda=0", "adaptiveL2.enabled=false")
      #expect(value(plain, "msgr") == 0 && plain.values["loss.adaptiveL2"] == nil)
    }

    @Test func wrongInputIsNamed() throws {
      try Command.succeed(train("run", epochs: 1))
      let robustness = ["robustness", "--checkpoint", scratch("run"), "--data", data]
      let train = self.train("other", epochs: 1)
      for (words, arguments) in [
        (["msgr.norm", "3", "1, 2, inf"], train + Tiny.settings("msgr.norm=3")),
        (["msgr.at", "5"], train + Tiny.settings("msgr.at=[5]")),
        (["msgr.at", "each once"], train + Tiny.settings("msgr.at=[1,1]")),
        (["msgr.lambda", "-1"], train + Tiny.settings("msgr.lambda=-1")),
        (["adaptiveL2.amplitude", "0"], train + Tiny.settings("adaptiveL2.amplitude=0")),
        (["adaptiveL2.tensors", "weights"], train + Tiny.settings("adaptiveL2.tensors=[weights]")),
        (["--at", "7"], robustness + ["--at", "7"]), (["--sizes", "x"], robustness + ["--sizes", "x"]),
        (["probe needs"], ["probe", "--images", "x.csv", "--output", scratch("x")]),
      ] {
        let outcome = try Command.run(arguments)
        let complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == 64 && outcome.complaints.count == 1, "\(arguments.suffix(2)): \(outcome)")
        #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
      }
      let other = try scratch.dataset("others", identities: 8)
      let outcome = try Command.run(["robustness", "--checkpoint", scratch("run"), "--data", other])
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome)")
    }
  }
}
