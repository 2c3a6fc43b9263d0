import Foundation
import Testing
import Training

extension CommandTests {
  /// `lineup confusions`: from a run to the heads of the next.
  @Suite(.serialized) struct ConfusionsTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training + Tiny.settings("schedule.epochs=2"))
    }

    private func write(_ name: String, ranks: Int? = nil, _ options: String...) throws -> Command.Outcome {
      try Command.run(
        ["confusions", "--checkpoint", scratch("run"), "--data", data, "--output", scratch(name)] + options,
        ranks: ranks)
    }

    /// The same file from any number of ranks, and a run from it.
    @Test func aRunLeadsToTheNext() throws {
      let one = try write("one.yaml")
      #expect(one.code == 0 && one.output.contains("stage 1: 2 groups of 8 identities"), "\(one.output) \(one.errors)")
      #expect(one.output.contains("stage 3: 4 groups of 8 identities"))
      let next = try Configuration.resolve(file: scratch("one.yaml"))
      #expect(next.model.heads.map(\.name) == ["global", "groups1", "groups2", "groups3"])
      #expect(next.model.heads.map { Set($0.groups).count } == [0, 2, 3, 4])
      #expect(next.model.heads.dropFirst().allSatisfy { $0.groups.count == 8 })
      #expect(try write("three.yaml", ranks: 3).code == 0)
      #expect(try scratch.text("three.yaml") == scratch.text("one.yaml"))
      try Command.succeed(
        [
          "train", "--data", data, "--output", scratch("second"), "--config", scratch("one.yaml"), "--set",
          "schedule.epochs=1",
        ])
    }

    @Test func wrongInputIsNamed() throws {
      let other = try scratch.dataset("other", identities: 12)
      for (words, code, arguments) in [
        (["--groups"], 64, ["--groups", "1.5"]), (["--groups"], 64, ["--groups", "0.2", "0.3", "0.4", "0.5"]),
      ] as [([String], Int32, [String])] {
        let outcome = try Command.run(
          ["confusions", "--checkpoint", scratch("run"), "--data", data, "--output", scratch("no.yaml")] + arguments)
        #expect(outcome.code == code && words.allSatisfy { outcome.errors.contains($0) }, "\(outcome)")
      }
      let outcome = try Command.run(
        ["confusions", "--checkpoint", scratch("run"), "--data", other, "--output", scratch("no.yaml")])
      #expect(
        outcome.code == 65 && outcome.errors.contains("its training identities are not those"), "\(outcome.errors)")
      // Groups of other data are refused before the first step.
      #expect(try write("groups.yaml").code == 0)
      let train = try Command.run(
        ["train", "--data", other, "--output", scratch("third"), "--config", scratch("groups.yaml")])
      #expect(train.code == 64 && train.errors.contains("model.heads[1].groups has 8 numbers"), "\(train.errors)")
    }
  }
}
