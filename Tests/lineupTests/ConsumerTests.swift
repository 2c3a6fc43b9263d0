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

  /// Runs a script of `Benchmarks/reference`; what it prints.
  static func run(_ script: String, _ arguments: [String], timeout: Double = 120) throws -> (
    code: Int32, output: String
  ) {
    let reference = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Benchmarks/reference").path
    let scratch = try Scratch(), process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["\(Int(timeout))", try #require(interpreter), "\(reference)/\(script)"] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["LINEUP_LIBRARY": library]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try scratch.handle("out")
    process.standardError = try scratch.handle("out")
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, try scratch.text("out"))
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
