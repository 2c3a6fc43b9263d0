import Foundation
import Testing
import Training

extension CommandTests {
  /// An image cut off in the middle: left out and counted the same way on any number of ranks, or the end of the run.
  @Suite(.serialized) struct DamagedImageTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 8)
    }

    private var images: [String] {
      get throws {
        try FileManager.default.contentsOfDirectory(atPath: "\(data)/bounding_box_train").sorted().map {
          "\(data)/bounding_box_train/\($0)"
        }
      }
    }

    private func train(_ run: String, ranks: Int?, _ settings: String...) throws -> Command.Outcome {
      try Command.run(
        ["train", "--data", data, "--output", scratch(run)] + Tiny.training
          + Tiny.settings(
            "schedule.epochs=2", "precision.storage=float64", "optimizer.learningRate=0.00003", "log.samples=true")
          + settings.flatMap { ["--set", $0] }, ranks: ranks)
    }

    /// Every other image, so that with four ranks some have none left in some steps.
    @Test func skippedOnesAreCountedAndTheResultIsThatOfOneRank() throws {
      let broken = try images.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
      try broken.forEach(scratch.damage)
      var runs: [(lines: [[String: Double]], model: TensorFile)] = []
      for ranks in [nil, 2, 4, 8] as [Int?] {
        let name = "run\(ranks ?? 0)", outcome = try train(name, ranks: ranks)
        try #require(outcome.code == 0, "\(ranks ?? 0) ranks: \(outcome.errors.suffix(2000))")
        let files = RunFiles(path: scratch(name)), lines = try files.metrics().filter { $0["loss"] != nil }
        struct Samples: Decodable { let step: Int, paths: [String] }
        let samples = try scratch.text("\(name)/samples.jsonl").split(separator: "\n").map {
          try JSONDecoder().decode(Samples.self, from: Data($0.utf8))
        }
        #expect(lines.count == 8 && samples.map(\.step) == Array(1...8))
        for (line, step) in zip(lines, samples) {
          let damaged = step.paths.count { broken.contains($0) }
          #expect(damaged > 0 && line["damaged"] == Double(damaged) && line["images"] == Double(8 - damaged))
        }
        #expect((outcome.output + outcome.errors).contains("warning: skipped \(broken[0]): "))
        runs.append((lines, try TensorFile(files.checkpoint(8) + "/model.safetensors", without: "running_")))
      }
      for run in runs.dropFirst() {
        #expect(run.model.distance(from: runs[0].model) <= 1e-9)
        #expect(run.lines.map { $0["damaged"] } == runs[0].lines.map { $0["damaged"] })
      }
    }

    @Test(arguments: [nil, 2] as [Int?]) func fatalWhereItIsConfiguredSo(_ ranks: Int?) throws {
      let image = try images[5]
      try scratch.damage(image)
      let outcome = try train("run", ranks: ranks, "data.damaged=fail")
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("\(image): ") == true)
    }

    /// All of them, so that both ranks meet one in the first step.
    @Test func fatalOnBothRanksAtOnceIsStillOneLine() throws {
      try images.forEach(scratch.damage)
      let outcome = try train("run", ranks: 2, "data.damaged=fail")
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.complaints)")
    }

    @Test(arguments: [nil, 2] as [Int?]) func aBatchWithoutAnyImageIsAnError(_ ranks: Int?) throws {
      try images.forEach(scratch.damage)
      let outcome = try train("run", ranks: ranks)
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("none of the 8 images") == true)
    }

    @Test(arguments: [nil, 3] as [Int?]) func evaluationLeavesThemOut(_ ranks: Int?) throws {
      let query = try FileManager.default.contentsOfDirectory(atPath: "\(data)/query").sorted()[2]
      try scratch.damage("\(data)/query/\(query)")
      #expect(try train("run", ranks: nil).code == 0)
      let outcome = try Command.succeed(
        ["evaluate", "--checkpoint", scratch("run"), "--data", data, "--json", scratch("j")], ranks: ranks)
      #expect((outcome.output + outcome.errors).contains("left out: \(data)/query/\(query): "))
      #expect(try scratch.text("j").contains("\"queries\" : 7"))
    }
  }
}
