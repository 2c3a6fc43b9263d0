import Foundation
import Testing

extension UntimedCommandTests {
  /// What a command is going to write is looked at before it computes: it is nothing that is read, and can be written.
  @Suite(.serialized) struct DestinationTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 8)
    }

    private func train(_ run: String = "run") -> [String] {
      ["train", "--data", data, "--output", scratch(run)] + Tiny.training + Tiny.settings("schedule.epochs=1")
    }

    /// One line with `words`, and nothing in the scratch folder is another than before.
    private func expect(
      _ code: Int32, _ words: String..., ranks: [Int?] = [nil], of arguments: [String],
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let before = try content()
      for ranks in ranks {
        let outcome = try Command.run(arguments, ranks: ranks, timeout: 30)
        let line = outcome.complaints.first ?? ""
        #expect(
          outcome.code == code && outcome.complaints.count == 1 && words.allSatisfy(line.contains),
          "\(outcome.code) \(outcome.errors), expected \(code) with \(words)", sourceLocation: sourceLocation)
        #expect(outcome.output.isEmpty, "\(outcome.output)", sourceLocation: sourceLocation)
      }
      #expect(try content() == before, sourceLocation: sourceLocation)
    }

    private func content() throws -> [String: Data] {
      let names = try FileManager.default.subpathsOfDirectory(atPath: scratch.path)
      return Dictionary(
        uniqueKeysWithValues: names.compactMap { name in
          FileManager.default.contents(atPath: scratch(name)).map { (name, $0) }
        })
    }

    @Test func whatIsReadIsNotReplaced() throws {
      try Command.succeed(train())
      let list = try scratch.list(data, count: 4), run = scratch("run")
      let query = try #require(try FileManager.default.contentsOfDirectory(atPath: "\(data)/query").first)
      func extract(_ images: String, _ output: String) -> [String] {
        ["extract", "--checkpoint", run, "--images", images, "--output", output]
      }
      // The labels go beside the features.
      try expect(64, "--output", "list.csv", "would replace", ranks: [nil, 2], of: extract(list, scratch("list.npy")))
      try FileManager.default.createSymbolicLink(atPath: scratch("link"), withDestinationPath: scratch.path)
      try FileManager.default.moveItem(atPath: list, toPath: scratch("other.csv"))
      try FileManager.default.createSymbolicLink(atPath: list, withDestinationPath: scratch("other.csv"))
      try expect(64, "would replace", of: extract(list, scratch("link/other.npy")))
      try expect(64, "named *.npy", of: extract("\(data)/query", scratch("features")))

      let features = scratch("features.npy")
      try Command.succeed(extract("\(data)/query", features))
      try Command.succeed(extract("\(data)/query", features))
      let score = ["score", "--query", features, "--gallery", features, "--json"]
      try expect(64, "--json", "features.npy", "would replace", ranks: [nil, 2], of: score + [features])
      try expect(64, "features.csv", "would replace", of: score + [scratch("features.csv")])

      let evaluate = ["evaluate", "--checkpoint", run, "--data", data, "--json"]
      try expect(64, "--json", query, "would replace", ranks: [nil, 2], of: evaluate + ["\(data)/query/\(query)"])
      for file in ["config.yaml", "metrics.jsonl", "checkpoints/latest", "checkpoints/step-00000004/model.safetensors"]
      {
        try expect(64, file, "is a run's own", of: evaluate + ["\(run)/\(file)"])
      }
      try expect(64, "--trace", "is a run's own", of: train() + ["--resume", "--trace", "\(run)/metrics.jsonl"])
      let weights = scratch("weights.safetensors")
      try Command.succeed(["probe", "--initialize", weights, "--identities", "4"] + Tiny.network)
      let probe = ["probe", "--weights", weights, "--images", list, "--output"]
      try expect(64, "--output", "would replace", of: probe + [weights] + Tiny.network)
      try expect(
        64, "--trace", "would replace",
        of: train("new") + ["--trace", weights] + Tiny.settings("model.weights=\(weights)"))
      // Beside a run's own files there is room.
      try Command.succeed(evaluate + ["\(run)/result.json"])
    }

    @Test func aRunsFolderIsForTrainingAlone() throws {
      try Command.succeed(train())
      try expect(64, "--output", "holds a run", ranks: [nil, 2], of: ["synthesize", "--output", scratch("run")])
      try expect(64, "is a run's own", of: ["synthesize", "--output", scratch("run/checkpoints")])
      try expect(64, "choose another --output", of: train("run/checkpoints/step-00000004"))
      try expect(64, "choose another --output", of: train("run/checkpoints"))
    }

    @Test func whatCannotBeWrittenIsSaidFirst() throws {
      try Command.succeed(train())
      let evaluate = ["evaluate", "--checkpoint", scratch("run"), "--data", data, "--json"]
      try expect(
        64, "--json", "no folder \(scratch("none"))", ranks: [nil, 2], of: evaluate + [scratch("none/x.json")])
      try expect(64, "--json", "is a folder", of: evaluate + [scratch("run")])
      try expect(64, "--json", "is a folder", of: evaluate + [scratch("none/")])
      try expect(64, "--json", "missing", of: evaluate + [""])
      try expect(70, "/dev/full: No space left on device", ranks: [nil, 2], of: evaluate + ["/dev/full"])
      try expect(70, "/proc/x.json: ", of: evaluate + ["/proc/x.json"])
      try expect(70, "/dev/full", of: train("new") + ["--trace", "/dev/full"])
      try expect(64, "--json", "no folder", of: ["benchmark", "--json", scratch("none/x.json")] + Tiny.network)
    }
  }
}
