import Foundation
import Testing

extension UntimedCommandTests {
  /// The pages of docs/tasks, as they are written.
  @Suite(.enabled(if: Python.interpreter != nil)) struct TaskTests {
    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path

    static let pages: [String] = {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: repository + "/docs/tasks")) ?? []
      return names.filter { $0.hasSuffix(".md") && $0 != "README.md" }.map { String($0.dropLast(3)) }.sorted()
    }()

    @Test func thereAreSome() { #expect(Self.pages.count >= 7) }

    @Test(arguments: pages) func isTrue(_ page: String) throws {
      let scratch = try Scratch(), process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
      process.arguments = ["240", "\(Self.repository)/launch/guides", page]
      process.environment = ProcessInfo.processInfo.environment.merging(["LINEUP": Command.path]) { $1 }
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = try scratch.handle("out")
      process.standardError = try scratch.handle("out")
      try process.run()
      process.waitUntilExit()
      let output = try scratch.text("out")
      #expect(process.terminationStatus == 0, "\(output.suffix(3000))")
    }
  }
}
