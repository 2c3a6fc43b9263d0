import Foundation
import Testing
import Training

extension CommandTests {
  /// docs/metrics.md has the fields that lines have, and no others.
  @Suite(.serialized) struct MetricsDocumentTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func everyFieldIsInTheDocument() throws {
      let data = try scratch.dataset()
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings(
            "schedule.epochs=1", "evaluation.everyEpochs=1", "evaluation.rerank=true", "msgr.lambda=0.01",
            "evaluation.expansion=average", "evaluation.multiQuery=true", "evaluation.singleShot=true",
            "evaluation.verification=true",
            "optimizer.clipNorm=10", "adaptiveL2.enabled=true", "normLoss.lambda=0.01"))
      let lines = try RunFiles(path: scratch("run")).metrics()
      let steps = lines.filter { $0["loss"] != nil }, evaluations = lines.filter { $0["loss"] == nil }
      #expect(steps.count == 8 && evaluations.count == 1)
      #expect(try fields("## A step") == Set(steps.flatMap(\.keys)))
      #expect(try fields("## An evaluation") == Set(evaluations.flatMap(\.keys)))
    }

    /// The terms of several heads have the heads' names before them.
    @Test func termsOfHeadsAreNamed() throws {
      let data = try scratch.dataset()
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings(
            "schedule.maxSteps=1", "data.parts=0.5", "evaluation.parts=true",
            "model.heads=[{name: a, losses: [crossEntropy]}, {name: b, neck: bnneck}, {name: c, label: part, losses: [crossEntropy]}]"
          ))
      let lines = try RunFiles(path: scratch("run")).metrics()
      #expect(
        Set(lines[0].keys).subtracting(try fields("## A step")) == [
          "a.crossEntropy", "b.crossEntropy", "b.triplet", "c.crossEntropy",
        ])
      let evaluation = try #require(lines.last { $0["mAP"] != nil })
      #expect(Set(evaluation.keys).subtracting(try fields("## An evaluation")) == ["partsMAP", "partsRank1"])
    }

    /// The names of the first column of the table below `heading`.
    private func fields(_ heading: String) throws -> Set<String> {
      let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "../../docs/metrics.md")
      let text = try String(contentsOf: file, encoding: .utf8)
      let start = try #require(text.range(of: heading + "\n")), rest = text[start.upperBound...]
      let section = rest[..<(rest.range(of: "\n## ")?.lowerBound ?? rest.endIndex)]
      let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") }
      return Set(
        rows.flatMap { row in
          row.split(separator: "|")[0].split(separator: "`").enumerated().filter { $0.offset % 2 == 1 }.map {
            String($0.element)
          }
        })
    }
  }
}
