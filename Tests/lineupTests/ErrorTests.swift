import Foundation
import Storage
import Testing
import Training

extension UntimedCommandTests {
  /// Contract 8: each error is one line on stderr that names what is wrong, with its exit code, on any number of ranks.
  @Suite(.serialized) struct ErrorTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 8)
    }

    /// Runs the command alone and on two ranks; both must say it in one line, with all of `words`.
    private func expect(
      _ code: Int32, _ words: [String], ranks: [Int?] = [nil, 2], _ arguments: [String],
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      for ranks in ranks {
        let outcome = try Command.run(arguments, ranks: ranks, timeout: 30, sourceLocation: sourceLocation)
        let found = "\(ranks ?? 0) ranks: \(outcome.code) \(outcome.complaints)"
        let missing = words.filter { word in outcome.complaints.first?.contains(word) != true }
        #expect(
          outcome.code == code && outcome.complaints.count == 1 && missing.isEmpty,
          "\(found), expected \(code) with \(missing)", sourceLocation: sourceLocation)
        if ranks == nil { #expect(outcome.errors == outcome.complaints.map { $0 + "\n" }.joined()) }
      }
    }

    private func train(_ run: String = "run", data: String? = nil, _ settings: String...) -> [String] {
      ["train", "--data", data ?? self.data, "--output", scratch(run)] + Tiny.training
        + Tiny.settings("schedule.epochs=1") + settings.flatMap { ["--set", $0] }
    }

    @Test func commandLine() throws {
      try expect(64, ["--bogus"], train() + ["--bogus"])
      try expect(64, ["--data"], ranks: [nil], ["train", "--output", scratch("run")])
      try expect(64, ["no command bogus of lineup", "train"], ["bogus"])
      try expect(64, ["no command trian of lineup; did you mean train?"], ranks: [nil], ["trian", "--data", data])
      try expect(
        64, ["no command vrify of checkpoint; did you mean verify?"], ranks: [nil],
        ["checkpoint", "vrify", scratch("run")])
      try expect(64, ["--initialize"], ["probe", "--initialize", scratch("w")])
      try expect(
        64, ["--identities", "10000000"], ranks: [nil],
        ["probe", "--initialize", scratch("w"), "--identities", "99999999999"])
      #expect(try Command.run(["--help"]).code == 0 && Command.run(["train", "--help"]).code == 0)
    }

    @Test func configuration() throws {
      try expect(64, ["model.widht", "did you mean model.width?"], train("run", "model.widht=1"))
      try expect(64, ["model.width", "two", "a number"], train("run", "model.width=two"))
      try expect(
        64, ["precision.storage", "float8", "float16, float32, float64"], ranks: [nil],
        train("run", "precision.storage=float8"))
      try expect(64, ["input.height", "100", "32"], ranks: [nil], train("run", "input.height=100"))
      try expect(64, ["schedule", "key=value"], ranks: [nil], train("run", "schedule"))
      let file = scratch("recipe.yaml")
      try expect(64, [file, "no such configuration file"], ranks: [nil], train() + ["--config", file])
      try "model.width: 0.5\n".write(toFile: file, atomically: false, encoding: .utf8)
      try expect(64, [file, "model.width", "model: {width: 0.5}"], ranks: [nil], train() + ["--config", file])
      try expect(64, ["threads is 010", "no leading zero"], ranks: [nil], train("run", "threads=010"))
      try expect(64, ["seed is -1", "from 0 to 18446744073709551615"], ranks: [nil], train("run", "seed=-1"))
      try "model:\n  with: 1\n".write(toFile: file, atomically: false, encoding: .utf8)
      try expect(64, [file, "model.with", "model.width"], train() + ["--config", file])
      #expect(!FileManager.default.fileExists(atPath: scratch("run")))
    }

    @Test func dataSets() throws {
      let missing = scratch("missing")
      try expect(65, [missing, "no such folder"], train(data: missing))
      let empty = scratch("empty")
      try FileManager.default.createDirectory(atPath: empty + "/bounding_box_train", withIntermediateDirectories: true)
      try expect(65, ["\(empty)/bounding_box_train", "no image"], train(data: empty))
      #expect(!FileManager.default.fileExists(atPath: scratch("run/log.txt")))
      try expect(65, [missing], ["extract", "--checkpoint", missing, "--images", data, "--output", scratch("f.npy")])
      try expect(64, ["sampling.identities", "5", "4 identities"], train("run", "sampling.identities=5"))
      try expect(64, ["9 ranks", "8 images", "sampling"], ranks: [9], train())
      // A first mistake does not stand in the way of the corrected command.
      try Command.succeed(train())
    }

    @Test func weights() throws {
      let weights = scratch("w.safetensors"), list = try scratch.list(data, count: 6)
      try Command.succeed(["probe", "--initialize", weights, "--identities", "4"] + Tiny.network)
      func probe(_ weights: String, images: String? = nil, _ settings: String...) -> [String] {
        ["probe", "--weights", weights, "--images", images ?? list, "--output", scratch("out")] + Tiny.network
          + settings.flatMap { ["--set", $0] }
      }
      try expect(65, [scratch("none")], probe(scratch("none")))
      try expect(65, [weights, "conv1.weight", "shape"], probe(weights, "model.width=0.125"))
      try expect(65, [weights, "tensor"], ranks: [nil], probe(weights, "model.head=baseline"))
      try expect(64, ["7 ranks for 6 images"], ranks: [7], probe(weights))
      try expect(65, [scratch("none.csv")], ranks: [nil], probe(weights, images: scratch("none.csv")))

      let bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
      let cut = scratch("cut.safetensors")
      for (length, ranks) in [(4, [nil]), (1000, [nil]), (bytes.count - 1, [nil, 2])] as [(Int, [Int?])] {
        try bytes.prefix(length).write(to: URL(fileURLWithPath: cut))
        try expect(65, [cut, "truncated"], ranks: ranks, probe(cut))
        try expect(65, [cut, "truncated"], ranks: ranks, train("run", "model.weights=\(cut)"))
      }
      let other = scratch("other.safetensors")
      try SafetensorsWriter.write([SafetensorsTensor("backbone.first", shape: [2]) { [1, 2] }], to: other)
      try expect(65, [other, "none of its tensors fits"], train("run", "model.weights=\(other)"))
      let pickled = scratch("weights.pth")
      try Data([0x80, 2, 0x8a, 10]).write(to: URL(fileURLWithPath: pickled))
      try expect(65, [pickled, "lineup import"], train("run", "model.weights=\(pickled)"))
      let ruined = scratch("ruined.safetensors")
      try SafetensorsWriter.write([SafetensorsTensor("bn1.running_var", shape: [4]) { [1, -1, 1, 1] }], to: ruined)
      try expect(65, [ruined, "bn1.running_var", "below zero"], train("run", "model.weights=\(ruined)"))
      #expect(!FileManager.default.fileExists(atPath: scratch("out")))
    }

    @Test func checkpoints() throws {
      try Command.succeed(train())
      let run = RunFiles(path: scratch("run")), evaluate = ["evaluate", "--checkpoint", run.path, "--data", data]
      try expect(65, [scratch("none")], ["evaluate", "--checkpoint", scratch("none"), "--data", data])
      try expect(64, [run.path, "--resume"], train())
      try expect(64, ["model.width", "0.0625", "0.125"], train("run", "model.width=0.125") + ["--resume"])
      try expect(65, ["identities"], train(data: try scratch.dataset("more", identities: 12)) + ["--resume"])

      for file in ["config.yaml", "model.safetensors", "optimizer.safetensors", "state.json"] {
        let path = run.checkpoint(4) + "/" + file, url = URL(fileURLWithPath: path), good = try Data(contentsOf: url)
        var bad = good
        bad[bad.count / 2] ^= 0x10
        try bad.write(to: url)
        let ranks = file == "model.safetensors" ? [nil, 2] : [nil] as [Int?]
        try expect(65, [path, "SHA-256"], ranks: ranks, train("run", "schedule.epochs=2") + ["--resume"])
        if file != "optimizer.safetensors" { try expect(65, [path, "SHA-256"], ranks: [nil], evaluate) }
        try good.prefix(good.count - 5).write(to: url)
        try expect(65, [path, "bytes"], ranks: [nil], evaluate)
        try good.write(to: url)
      }
      try Command.succeed(evaluate)
    }

    /// The architecture is the checkpoint's: a setting of another one must not be passed over in silence.
    @Test(arguments: ["evaluate", "extract"]) func anotherArchitectureIsRefused(_ command: String) throws {
      try Command.succeed(train())
      let rest =
        command == "evaluate" ? ["--data", data] : ["--images", "\(data)/query", "--output", scratch("f.npy")]
      let arguments = [command, "--checkpoint", scratch("run")] + rest
      try expect(64, ["model.width", "0.0625", "0.125"], arguments + Tiny.settings("model.width=0.125"))
      try Command.succeed(arguments + Tiny.settings("model.width=0.0625"))
    }

    @Test func outputsThatCannotBeWritten() throws {
      let file = scratch("file")
      try "text".write(toFile: file, atomically: false, encoding: .utf8)
      try expect(70, ["\(file): Not a directory"], train("file/run"))
      try expect(64, ["\(file): is a file"], train("file"))
      try expect(64, ["--output", "empty"], ["train", "--data", data, "--output", ""])
      try expect(64, ["--resume-from", "empty"], ranks: [nil], train() + ["--resume-from", ""])
      try expect(
        64, ["\(file)/w", "no folder \(file)"],
        ["probe", "--initialize", "\(file)/w", "--identities", "2"] + Tiny.network)
      try FileManager.default.createDirectory(atPath: scratch("blocked"), withIntermediateDirectories: true)
      try "".write(toFile: scratch("blocked/checkpoints"), atomically: false, encoding: .utf8)
      try expect(70, [scratch("blocked/checkpoints")], train("blocked"))
      let lines = try RunFiles(path: scratch("blocked")).metrics()
      #expect(lines.filter { $0["loss"] != nil }.count == 4)
    }

    /// The system refuses to write past a limit, as it does on a full disk; the checkpoint before stays what it was.
    @Test func aFullDisk() throws {
      try Command.succeed(train())
      let run = RunFiles(path: scratch("run")), before = try Checkpoint(path: run.path)
      let outcome = try Command.run(
        train("run", "schedule.epochs=2") + ["--resume"], prefix: ["bash", "-c", "ulimit -f 200; exec \"$@\"", "bash"])
      #expect(outcome.code == 70 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
      #expect(outcome.complaints.first?.contains("File too large") == true)
      #expect(outcome.complaints.first?.contains(run.checkpoint(8)) == true, "\(outcome.complaints)")
      let after = try Checkpoint(path: run.path)
      #expect(after.state == before.state && after.folder == before.folder)
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch("run/checkpoints"))
      #expect(!left.contains { $0.hasPrefix(".") }, "\(left)")
      #expect(try run.metrics().trainingSteps == Array(1...8))
      try Command.succeed(train("run", "schedule.epochs=2") + ["--resume"])
      #expect(try Checkpoint(path: run.path).state.step == 8)
      #expect(try run.metrics().trainingSteps == Array(1...8))
    }
  }
}
