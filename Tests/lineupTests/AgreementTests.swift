import Foundation
import Testing
import Training

extension CommandTests {
  /// Ranks that were started with different things say so in one line, before they compute anything.
  @Suite(.serialized) struct AgreementTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 8)
    }

    /// Rank 0 with one command line, rank 1 with another.
    private func run(_ first: [String], _ second: [String], environment: [String: String] = [:]) throws
      -> Command.Outcome
    {
      let launcher = Mpirun.here(1) + [Command.path]
      return try Command.run(second, environment: environment, prefix: launcher + first + [":", "-n", "1"])
    }

    private func expect(
      _ code: Int32, _ words: [String], _ first: [String], _ second: [String],
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let outcome = try run(first, second)
      let line = outcome.complaints.first ?? ""
      #expect(
        outcome.code == code && outcome.complaints.count == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
      for word in ["rank 1 on "] + words {
        #expect(line.contains(word), "\(line) lacks \(word)", sourceLocation: sourceLocation)
      }
    }

    private func train(_ run: String = "run", data: String? = nil, _ settings: String...) -> [String] {
      ["train", "--data", data ?? self.data, "--output", scratch(run)] + Tiny.training
        + Tiny.settings("schedule.epochs=1") + settings.flatMap { ["--set", $0] }
    }

    private func copy(_ name: String, _ change: (String) throws -> Void) throws -> String {
      try FileManager.default.copyItem(atPath: data, toPath: scratch(name))
      try change(scratch(name))
      return scratch(name)
    }

    private func files(_ folder: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { "\(folder)/\($0)" }
    }

    @Test func settings() throws {
      try expect(64, ["model.embedding is 48 here, 32 on rank 0"], train(), train("run", "model.embedding=48"))
      try expect(64, ["sampling.images is 4 here, 2 on rank 0"], train(), train("run", "sampling.images=4"))
      try expect(64, ["optimizer.learningRate"], train(), train("run", "optimizer.learningRate=0.1"))
      let one = scratch("one.yaml"), two = scratch("two.yaml")
      try "seed: 3\n".write(toFile: one, atomically: false, encoding: .utf8)
      try "seed: 4\n".write(toFile: two, atomically: false, encoding: .utf8)
      try expect(64, ["seed is 4 here, 3 on rank 0"], train() + ["--config", one], train() + ["--config", two])
      #expect(!FileManager.default.fileExists(atPath: scratch("run")))
      // A rank that has no such file takes rank 0's word for it.
      let outcome = try run(train("word") + ["--config", one], train("word") + ["--config", scratch("missing.yaml")])
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(try Configuration.resolve(file: scratch("word/config.yaml")).seed == 3)
    }

    /// What decides which way a rank goes is agreed on before anything else.
    @Test func commands() throws {
      try expect(64, ["--resume is given here, not on rank 0"], train(), train() + ["--resume"])
      try expect(64, ["--resume is given on rank 0, not here"], train() + ["--resume"], train())
      try expect(64, ["--restart is given here"], train() + ["--resume"], train() + ["--restart"])
      try expect(64, ["--trace is given here"], train(), train() + ["--trace", scratch("t.json")])
      let robustness = ["robustness", "--checkpoint", scratch("run"), "--data", data]
      try expect(64, ["the command is robustness here, train on rank 0"], train(), robustness)
      try expect(
        64, ["--batches is 2 here, 3 on rank 0"], robustness + ["--batches=3"], robustness + ["--batches", "2"])
      #expect(!FileManager.default.fileExists(atPath: scratch("run")))
    }

    /// A rank whose command line cannot be read says so, whichever it is, and the others end with it.
    @Test func commandLines() throws {
      try expect(64, ["--bogus"], train(), train() + ["--bogus"])
      try expect(64, ["exclude one another"], train() + ["--resume"], train() + ["--resume", "--restart"])
      try expect(64, ["no command trian"], train(), ["trian"] + train().dropFirst())
      let outcome = try run(train() + ["--set", "schedule"], train())
      #expect(outcome.code == 64 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("rank 0 on ") == true, "\(outcome.errors)")
    }

    @Test func images() throws {
      let fewer = try copy("fewer") { try FileManager.default.removeItem(atPath: files("\($0)/query")[3]) }
      try expect(65, ["the query images: 7 here, 8 on rank 0", "item 4 is query/"], train(), train(data: fewer))
      let renamed = try copy("renamed") {
        let image = try files("\($0)/bounding_box_train")[0]
        try FileManager.default.moveItem(atPath: image, toPath: image.replacing("_c1s1_", with: "_c2s9_"))
      }
      try expect(65, ["the train images", "bounding_box_train/"], train(), train(data: renamed))
      let other = try copy("other") { try scratch.damage(files("\($0)/bounding_box_test")[2]) }
      try expect(65, ["the gallery images", "item 1 is bounding_box_test/", "bytes"], train(), train(data: other))
      // Names and sizes alike, and other pixels.
      let mixed = try copy("mixed") {
        for image in try files("\($0)/bounding_box_test") {
          var bytes = try Data(contentsOf: URL(fileURLWithPath: image))
          bytes[bytes.count / 2] ^= 1
          try bytes.write(to: URL(fileURLWithPath: image))
        }
      }
      try expect(
        65, ["the content of the gallery images (a sample): item 1 is bounding_box_test/", "SHA-256"], train(),
        train(data: mixed))
      // The same copy at another place is the same.
      let same = try copy("same") { _ in }
      #expect(try run(train("fine"), train("fine", data: same)).code == 0)
    }

    @Test func evaluations() throws {
      try Command.succeed(train())
      try Command.succeed(train("other", "seed=5"))
      func evaluate(_ run: String = "run", _ data: String? = nil) -> [String] {
        ["evaluate", "--checkpoint", scratch(run), "--data", data ?? self.data]
      }
      #expect(try run(evaluate(), evaluate()).code == 0)
      try expect(65, ["the checkpoint's manifest"], evaluate(), evaluate("other"))
      let half = try copy("half") {
        for image in try files("\($0)/bounding_box_test").prefix(4) {
          try FileManager.default.removeItem(atPath: image)
        }
      }
      try expect(65, ["the gallery images: 8 here, 10 on rank 0"], evaluate(), evaluate("run", half))
      let lists = (scratch("a.npy"), "\(data)/query", "\(data)/bounding_box_test")
      try expect(
        65, ["the images"], ["extract", "--checkpoint", scratch("run"), "--images", lists.1, "--output", lists.0],
        ["extract", "--checkpoint", scratch("run"), "--images", lists.2, "--output", lists.0])
      #expect(!FileManager.default.fileExists(atPath: lists.0))
    }

    @Test func theKernels() throws {
      let launcher = Mpirun.here(1) + [Command.path]
      let outcome = try Command.run(
        train(), prefix: launcher + train() + [":", "-n", "1", "env", "LINEUP_KERNELS=blas"])
      #expect(outcome.code == 70 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("the kernel path") == true)
    }

    /// Each process would be a job of its own.
    @Test func anotherMPIsLauncherIsNoticed() throws {
      let outcome = try Command.run(train(), environment: Mpirun.foreign(ranks: 2))
      #expect(outcome.code == 69 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(outcome.complaints.first?.contains("the launcher has started 2 ranks, of which ") == true)
    }

    /// Another size of images than the training's is a wish that must not go unnoticed.
    @Test func whatDiffersFromTheCheckpointIsSaid() throws {
      try Command.succeed(train())
      let file = scratch("large.yaml")
      try "input: {height: 96, width: 64}\n".write(toFile: file, atomically: false, encoding: .utf8)
      let outcome = try Command.succeed(
        ["evaluate", "--checkpoint", scratch("run"), "--data", data, "--config", file])
      #expect(outcome.output.contains("differs from the checkpoint: input.height was 64, now 96"))
    }
  }
}
