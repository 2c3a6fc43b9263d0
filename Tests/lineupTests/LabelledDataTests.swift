import Dataset
import Foundation
import Testing
import Training

extension CommandTests {
  /// What a data set says of its images beside who they show, from `lineup synthesize` to a run.
  @Suite(.serialized) struct LabelledDataTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func labelled() throws -> String {
      try Command.succeed([
        "synthesize", "--output", scratch("data"), "--identities", "16", "--images", "2", "--cameras", "2", "--labels",
      ])
      return scratch("data/labels.csv")
    }

    /// The parts of images are the same on any number of ranks, and a head learns them.
    @Test func partsAreLabels() throws {
      let data = try labelled()
      func run(_ name: String, ranks: Int?) throws -> RunFiles {
        try Command.succeed(
          ["train", "--data", data, "--output", scratch(name)] + Tiny.training
            + Tiny.settings(
              "schedule.epochs=1", "data.parts=0.5",
              "model.heads=[{name: who}, {name: part, label: part, losses: [crossEntropy], retrieve: false}]"),
          ranks: ranks)
        return RunFiles(path: scratch(name))
      }
      let alone = try run("alone", ranks: nil)
      try run("two", ranks: 2).expectSameCheckpoint(as: alone, step: 8)
      let losses = try alone.metrics().compactMap { $0["part.crossEntropy"] }
      // ln 7 of a classifier that knows nothing.
      #expect(losses.count == 8 && losses.allSatisfy { (0.5...4).contains($0) })
    }

    /// Runs, evaluations and features are of blurred faces where they are to be, and refused where no face is known.
    @Test func facesAreBlurred() throws {
      let data = try labelled()
      func run(_ name: String, _ settings: [String]) throws -> RunFiles {
        try Command.succeed(
          ["train", "--data", data, "--output", scratch(name)] + Tiny.training
            + Tiny.settings("schedule.epochs=1", "evaluation.everyEpochs=1") + settings)
        return RunFiles(path: scratch(name))
      }
      let clear = try run("clear", []), train = try run("train", Tiny.settings("data.faces.train=blurred"))
      let test = try run("test", Tiny.settings("data.faces.test=blurred"))
      func losses(_ run: RunFiles) throws -> [Double] { try run.metrics().compactMap { $0["loss"] } }
      #expect(try losses(clear) != losses(train) && losses(clear) == losses(test))
      for (name, settings) in [("c", []), ("b", Tiny.settings("data.faces.test=blurred"))] {
        try Command.succeed(
          ["extract", "--checkpoint", clear.path, "--images", data, "--output", scratch("\(name).npy")] + settings)
      }
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: scratch("c.npy")))
          != Data(contentsOf: URL(fileURLWithPath: scratch("b.npy"))))
      let folder = scratch("data")
      for (command, key) in [
        (["train", "--data", folder, "--output", scratch("x")], "data.faces.train"),
        (["evaluate", "--data", folder, "--checkpoint", clear.path], "data.faces.test"),
      ] {
        let refused = try Command.run(command + Tiny.settings("\(key)=blurred"))
        #expect(refused.code == 65 && refused.errors.contains("\(folder): \(key) is blurred, but none of the "))
      }
    }

    @Test func identitiesOfFewImagesAreLeftOutAndCounted() throws {
      let data = try labelled(), lines = try String(contentsOfFile: data, encoding: .utf8).split(separator: "\n")
      let fewer = lines.filter { !$0.contains("0001_c1s1_000002") }.joined(separator: "\n")
      try Data(fewer.utf8).write(to: URL(fileURLWithPath: data))
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings("schedule.epochs=1", "sampling.minimumImages=4"))
      let log = RunFiles(path: scratch("run")).log
      #expect(
        log.contains("1 of 8 training identities left out, of fewer than 4 images): train 28 images of 7 identities"))
      let all = try Command.run(
        ["train", "--data", data, "--output", scratch("x")] + Tiny.training + Tiny.settings("sampling.minimumImages=5"))
      #expect(
        all.code == 64 && all.errors.contains("sampling.minimumImages is 5, but none of the 8 training identities"))
    }
  }
}
