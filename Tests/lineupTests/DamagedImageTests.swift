import Foundation
import Testing
import Training

extension UntimedCommandTests {
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

    /// A disk that returns zeros from some moment on, on one of two hosts.
    @Test func aRankThatCanDecodeNothingEndsTheRun() throws {
      let data = try scratch.dataset("whole"), copy = scratch("copy"), files = FileManager.default
      try files.copyItem(atPath: data, toPath: copy)
      func train(_ data: String) -> [String] {
        ["train", "--data", data, "--output", scratch("run")] + Tiny.training
          + Tiny.settings("schedule.epochs=1000")
      }
      let launcher = Mpirun.here(1) + [Command.path]
      var isBroken = false
      let outcome = try Command.run(train(copy), prefix: launcher + train(data) + [":", "-n", "1"]) { _ in
        guard !isBroken, RunFiles(path: scratch("run")).steps > 8 else { return }
        isBroken = true
        for name in (try? files.contentsOfDirectory(atPath: "\(copy)/bounding_box_train")) ?? [] {
          try? Data(count: 1000).write(to: URL(fileURLWithPath: "\(copy)/bounding_box_train/\(name)"))
        }
      }
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors.suffix(2000))")
      let line = outcome.complaints.first ?? ""
      #expect(line.hasPrefix("lineup: rank 1 on \(ProcessInfo.processInfo.hostName): "), "\(line)")
      #expect(
        line.contains(
          "of the 32 images that an epoch draws here cannot be decoded; the first is \(copy)/bounding_box_train/"))
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
      let metrics = try scratch.text("j")
      for figure in ["\"queries\" : 7", "\"damagedQueries\" : 1", "\"damagedGallery\" : 0"] {
        #expect(metrics.contains(figure))
      }
      #expect(outcome.output.contains("warning: 1 query and 0 gallery images cannot be decoded and are left out"))
    }

    /// A run of one epoch to evaluate.
    private func trained() throws -> [String] {
      #expect(try train("run", ranks: nil, "schedule.epochs=1").code == 0)
      return ["evaluate", "--checkpoint", scratch("run"), "--data", data, "--json", scratch("j")]
    }

    private func names(_ folder: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: "\(data)/\(folder)").sorted().map {
        "\(data)/\(folder)/\($0)"
      }
    }

    @Test func figuresFromTheRestAreNotPrinted() throws {
      let evaluate = try trained()
      try names("query").prefix(2).forEach(scratch.damage)
      for ranks in [nil, 3] as [Int?] {
        let outcome = try Command.run(evaluate, ranks: ranks)
        #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
        #expect(outcome.complaints.first?.contains("query: 2 of 8 images cannot be decoded") == true)
        #expect(!outcome.output.contains("mAP") && !FileManager.default.fileExists(atPath: scratch("j")))
      }
    }

    /// Whatever `data.damaged` says: missing, or something that would be waited for.
    @Test func imagesThatCannotBeReadAreErrors() throws {
      let evaluate = try trained(), image = try names("bounding_box_train")[3], query = try names("query")[1]
      try FileManager.default.removeItem(atPath: query)
      #expect(mkfifo(query, 0o600) == 0)
      try FileManager.default.removeItem(atPath: image)
      #expect(mkfifo(image, 0o600) == 0)
      for ranks in [nil, 2] as [Int?] {
        for (arguments, path) in [
          (evaluate, query),
          (
            ["extract", "--checkpoint", scratch("run"), "--images", data + "/query", "--output", scratch("q.npy")],
            query
          ),
          (["train", "--data", data, "--output", scratch("again")] + Tiny.training, image),
        ] {
          let outcome = try Command.run(arguments, ranks: ranks)
          #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
          #expect(outcome.complaints.first?.contains("\(path)") == true, "\(outcome.complaints)")
        }
      }
    }

    @Test func queriesWithoutAMatchAreTold() throws {
      let evaluate = try trained(), query = try names("query")[0]
      let identity = query.split(separator: "/").last!.prefix(4)
      for image in try names("bounding_box_test") where image.contains("/\(identity)_") {
        try FileManager.default.removeItem(atPath: image)
      }
      let outcome = try Command.succeed(evaluate)
      #expect(outcome.output.contains("warning: 2 of 8 queries have no match in the gallery"))
    }

    @Test func peopleWhoAreTrainedOnAndTestedOnAreTold() throws {
      let evaluate = try trained(), image = try images[0], name = image.split(separator: "/").last!
      #expect(try !Command.succeed(evaluate).output.contains("are trained on too"))
      try FileManager.default.copyItem(atPath: image, toPath: "\(data)/bounding_box_test/\(name)")
      let outcome = try Command.succeed(evaluate)
      #expect(
        outcome.output.contains("warning: 1 of 6 identities that are tested on are trained on too"),
        "\(outcome.output)")
    }

    @Test func noFeaturesAreNoFile() throws {
      _ = try trained()
      func extract(_ images: String) throws -> String {
        let outcome = try Command.run(
          ["extract", "--checkpoint", scratch("run"), "--images", images, "--output", scratch("f.npy")])
        #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: scratch("f.npy")))
        return outcome.complaints.first ?? ""
      }
      try "path,identity,camera\n".write(toFile: scratch("none.csv"), atomically: false, encoding: .utf8)
      #expect(try extract(scratch("none.csv")).contains("\(scratch("none.csv")): no image in it"))
      try names("query").forEach(scratch.damage)
      #expect(try extract(data + "/query").contains("none of its 8 images can be decoded"))
    }
  }
}
