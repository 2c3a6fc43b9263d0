import Foundation
import Testing

/// Python with the programs that read what Lineup writes, where `launch/python` could make it.
enum Python {
  static let interpreter: String? = {
    let path = ProcessInfo.processInfo.environment["LINEUP_PYTHON"] ?? ""
    return path.isEmpty ? nil : path
  }()

  static let library = URL(fileURLWithPath: Command.path).deletingLastPathComponent()
    .appendingPathComponent("libLineupC.so").path

  /// The repository's folder.
  static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// Runs a script of `Benchmarks/reference`; what it prints.
  static func run(_ script: String, _ arguments: [String]) throws -> (code: Int32, output: String) {
    let found = try Command.launch(
      [try #require(interpreter), "\(repository)/Benchmarks/reference/\(script)"] + arguments,
      environment: ["LINEUP_LIBRARY": library], timeout: 120)
    return (found.code, found.output + found.errors)
  }
}

extension UntimedCommandTests {
  /// What leaves Lineup, in the programs that it is for.
  @Suite(.enabled(if: Python.interpreter != nil)) struct ConsumerTests {
    /// ONNX's own checker, and ONNX Runtime beside the network in float32 and float16.
    @Test(arguments: [["model.trunk=resnet18"], ["model.trunk=osnet", "model.head=baseline"]])
    func anExportedModelIsTheNetwork(_ settings: [String]) throws {
      let scratch = try Scratch(), run = scratch("run"), data = try scratch.dataset()
      try Command.succeed(
        ["train", "--data", data, "--output", run] + Tiny.training + Tiny.settings("schedule.maxSteps=2")
          + settings.flatMap { ["--set", $0] })
      let (code, output) = try Python.run(
        "check_export.py",
        ["--lineup", Command.path, "--checkpoint", run, "--images", "\(data)/query", "--storage", "float32"])
      #expect(code == 0 && output.contains("onnxruntime  normalized inside  beside Lineup in float32"), "\(output)")
    }
  }
}
