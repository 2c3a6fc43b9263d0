import Foundation
import Testing

extension UntimedCommandTests {
  /// `lineup import` as a user sees it.
  @Suite struct ImportTests {
    private let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("FuzzingTests/Corpus").path

    @Test func itSaysWhereEveryTensorGoes() throws {
      let scratch = try Scratch(), json = scratch("table.jsonl")
      let outcome = try Command.succeed(["import", "\(corpus)/pth/zip.pth", "--json", json])
      #expect(outcome.output.contains("PyTorch: 9 tensors, 0 taken, 9 left"))
      #expect(outcome.output.contains("state_dict.module.bn1.bias") && outcome.output.contains("2×3"))
      #expect(outcome.output.contains("argparse.Namespace, which is not made"))
      let lines = try String(contentsOfFile: json, encoding: .utf8).split(separator: "\n")
      #expect(lines.count == 14)
      for line in lines { _ = try JSONSerialization.jsonObject(with: Data(line.utf8)) }
      #expect(lines.last == #"{"kind":"PyTorch","missing":[],"taken":0,"tensors":9}"#)
    }

    /// What is exported of a checkpoint is what an import of it finds again.
    @Test func aCheckpointGoesOutAndComesBack() throws {
      let scratch = try Scratch(), run = scratch("run"), out = scratch("out.safetensors")
      try Command.succeed(
        ["train", "--data", try scratch.dataset(), "--output", run] + Tiny.training
          + Tiny.settings("schedule.maxSteps=1", "model.trunk=resnet18", "model.head=baseline"))
      let export = try Command.succeed(["export", "--checkpoint", run, "--output", out, "--names", "torchvision"])
      #expect(export.output.contains("left: neck.bn.weight") && export.output.contains(" tensors of torchvision, "))
      let found = try Command.succeed(["import", out, "--output", scratch("in.safetensors")])
      #expect(
        found.output.contains("looks like model.trunk=resnet18 model.norm=batch")
          && found.output.contains("all tensors of that trunk"))
      #expect(found.output.contains(", 0 left"))
      let model = try Command.succeed(["export", "--checkpoint", run, "--output", scratch("a.onnx")])
      #expect(model.output.contains("a.onnx: images N×3×64×32 (RGB, normalized outside) to embedding N×"))
      let again = try Command.succeed(["import", scratch("a.onnx"), "--output", scratch("again.safetensors")])
      #expect(again.output.contains("all tensors of that trunk"))
      for wrong in [
        ["a.onnx", "--names", "timm"], ["a.onnx", "--format", "safetensors"], ["a.pt"], ["a.safetensors"],
        ["a.safetensors", "--names", "timm", "--normalization", "inside"],
      ] {
        let refused = try Command.run(
          ["export", "--checkpoint", run, "--output", scratch(wrong[0])] + wrong.dropFirst())
        #expect(refused.code == 64 && refused.complaints.count == 1, "\(wrong)")
      }
      let other = try Command.run(["export", "--checkpoint", run, "--output", out, "--names", "ibn-net"])
      #expect(
        other.code == 64
          && other.errors.contains("--names ibn-net: no network with model.norm batch is written under its names"))
      let none = try Command.run(["export", "--checkpoint", scratch("none"), "--output", out, "--names", "timm"])
      #expect(none.code == 65 && none.complaints.count == 1)
    }

    @Test func whatCannotBeDoneIsRefused() throws {
      let scratch = try Scratch(), copy = scratch("a.pth")
      try FileManager.default.copyItem(atPath: "\(corpus)/pth/legacy.pth", toPath: copy)
      let over = try Command.run(["import", copy, "--output", copy])
      #expect(over.code == 64 && over.complaints.count == 1 && over.errors.contains("would replace"))
      let none = try Command.run(["import", copy, "--output", scratch("b.safetensors")])
      #expect(none.code == 65 && none.complaints.count == 1)
      #expect(!FileManager.default.fileExists(atPath: scratch("b.safetensors")))
      let elsewhere = try Command.run(["import", copy, "--under", "ema"])
      #expect(elsewhere.code == 64 && elsewhere.complaints.count == 1 && elsewhere.errors.contains("--under ema"))
      let missing = try Command.run(["import", scratch("none.pth")])
      #expect(missing.code == 65 && missing.complaints.count == 1)
    }
  }
}
