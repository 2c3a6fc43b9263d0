import Foundation
import Testing

extension UntimedCommandTests {
  /// What runs are fed with: several data sets, none to test on, and what `lineup data check` says.
  @Suite(.serialized) struct DataTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// Two data sets that are trained on and one more to test on: a result of each, and the same parameters on two ranks.
    @Test func severalDataSetsAreTrainedAndTestedOn() throws {
      let a = try scratch.dataset("a"), b = try scratch.dataset("b", identities: 12), c = try scratch.dataset("c")
      let arguments =
        ["train", "--data", a, "--data", b, "--test", c] + Tiny.training
        + Tiny.settings("schedule.epochs=1", "evaluation.beforeTraining=true", "sampling.images=4")
      let outcome = try Command.succeed(arguments + ["--output", scratch("run")])
      for name in ["a", "b", "c"] { #expect(outcome.output.contains("** Results of \(name) **")) }
      let run = RunFiles(path: scratch("run")), metrics = try run.metrics()
      let last = try #require(metrics.last)
      #expect(last["mAP"] != nil && last["b.mAP"] != nil && last["c.rank1"] != nil && last["a.mAP"] == nil)
      // Of a and b, whose training identities have the same numbers.
      #expect(metrics.count { $0["loss"] != nil } == 14)
      try Command.succeed(arguments + ["--output", scratch("two")], ranks: 2)
      let two = RunFiles(path: scratch("two")), model = "checkpoints/step-00000014/model.safetensors"
      #expect(try #require(run.bytes(model)) == two.bytes(model))
    }

    @Test func trainingWithoutATestSetIsSaid() throws {
      let data = try scratch.dataset()
      for folder in ["query", "bounding_box_test"] {
        try FileManager.default.removeItem(atPath: "\(data)/\(folder)")
      }
      try FileManager.default.moveItem(atPath: "\(data)/bounding_box_train", toPath: scratch("images"))
      let files = try FileManager.default.contentsOfDirectory(atPath: scratch("images")).filter { $0.hasSuffix("jpg") }
      let rows = files.map { "\($0),\($0.prefix(4)),train" }
      try (["path,identity,split"] + rows).joined(separator: "\n").write(
        toFile: scratch("images/own.csv"), atomically: false, encoding: .utf8)
      let outcome = try Command.succeed(
        ["train", "--data", scratch("images/own.csv"), "--output", scratch("run")] + Tiny.training
          + Tiny.settings("schedule.maxSteps=2", "evaluation.beforeTraining=true"))
      #expect(outcome.output.contains("nothing to test on"))
      #expect(try RunFiles(path: scratch("run")).metrics().count == 2)
    }

    /// Paths of a single letter, in the working folder.
    @Test func anyNameIsAFolder() throws {
      _ = try scratch.dataset("d")
      let outcome = try Command.run(
        ["train", "--data", "d", "--output", "r"] + Tiny.training + Tiny.settings("schedule.maxSteps=1"),
        prefix: ["-C", scratch("")])
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(try RunFiles(path: scratch("r")).metrics().count == 2)
      for (arguments, code) in [
        (["evaluate", "--checkpoint", "r", "--data", "d", "--json", "j"], 0), (["data", "check", "--data", "d"], 0),
        (["extract", "--checkpoint", "r", "--images", "d/query", "--output", "f.npy"], 0),
        (["train", "--data", "d", "--output", "j"], 64), (["data", "check", "--data", "x"], 65),
      ] as [([String], Int32)] {
        #expect(try Command.run(arguments, prefix: ["-C", scratch("")]).code == code, "\(arguments)")
      }
    }

    @Test func dataCheckCountsAndRefuses() throws {
      let data = try scratch.dataset()
      let whole = try Command.succeed(["data", "check", "--data", data])
      #expect(whole.output.contains("Market-1501 layout") && whole.output.contains("images can be decoded"))
      let image = try #require(try FileManager.default.contentsOfDirectory(atPath: "\(data)/query").sorted().first)
      try "text".write(toFile: "\(data)/query/\(image)", atomically: false, encoding: .utf8)
      let damaged = try Command.run(["data", "check", "--data", data])
      #expect(damaged.code == 65 && damaged.complaints.count == 1)
      #expect(damaged.complaints[0].contains("\(image): neither a JPEG nor a PNG file"))
      #expect(try Command.run(["data", "check", "--quick", "--data", data]).code == 0)
      let nothing = try Command.run(["data", "check", "--data", scratch("none")])
      #expect(nothing.code == 65 && nothing.complaints.count == 1)
      let twice = try Command.run(["train", "--data", data, "--data", data + "/", "--output", scratch("run")])
      #expect(twice.code == 64 && twice.complaints[0].contains("is given twice"))
      for command in [["data", "check"], ["evaluate", "--checkpoint", "c"], ["robustness", "--checkpoint", "c"]] {
        let empty = try Command.run(command + ["--data", ""])
        #expect(empty.code == 64 && empty.errors.contains("--data: the path of a data set is missing"), "\(command)")
      }
      try "text".write(toFile: scratch("file"), atomically: false, encoding: .utf8)
      let output = try Command.run(
        ["data", "cuhk03", "--mat", scratch("file"), "--protocol", data, "--output", scratch("file")])
      #expect(output.code == 64 && output.complaints[0].contains("--output \(scratch("file")): is no folder"))
    }

    /// None of several is passed over: each has its counts, its result and its object.
    @Test func everyDataSetIsLookedAt() throws {
      let a = try scratch.dataset("a"), b = try scratch.dataset("b", identities: 12)
      let checked = try Command.succeed(["data", "check", "--data", a, "--data", b])
      #expect(checked.output.contains("\(a): Market") && checked.output.contains("\(b): Market"))
      try Command.succeed(
        ["train", "--data", a, "--data", b, "--output", scratch("run")] + Tiny.training
          + Tiny.settings("schedule.maxSteps=1"))
      let command = ["evaluate", "--checkpoint", scratch("run")], json = ["--json", scratch("all.json")]
      let both = try Command.succeed(command + ["--data", a, "--data", b] + json)
      #expect(both.output.contains("** Results of a **") && both.output.contains("** Results of b **"))
      try Command.succeed(command + ["--data", b, "--json", scratch("b.json")])
      func object(_ name: String) throws -> [String: Any] {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch(name)))
        return try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
      }
      let all = try object("all.json"), alone = try object("b.json")
      #expect(Set(all.keys) == ["a", "b"])
      #expect((all["b"] as? [String: Any])?["mAP"] as? Double == alone["mAP"] as? Double && alone["mAP"] != nil)
      // The classes of the training are those of both.
      try Command.succeed(
        ["robustness", "--checkpoint", scratch("run"), "--data", a, "--data", b, "--batches", "1"])
      let half = try Command.run(["robustness", "--checkpoint", scratch("run"), "--data", a])
      #expect(half.code == 65, "\(half.errors)")
    }
  }
}
