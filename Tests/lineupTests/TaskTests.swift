import Foundation
import Testing

extension UntimedCommandTests {
  /// The pages of docs/tasks, as they are written.
  @Suite(.enabled(if: Python.interpreter != nil)) struct TaskTests {
    static let pages: [String] = {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: Python.repository + "/docs/tasks")) ?? []
      return names.filter { $0.hasSuffix(".md") && $0 != "README.md" }.map { String($0.dropLast(3)) }.sorted()
    }()

    @Test func thereAreSome() { #expect(Self.pages.count >= 7) }

    @Test(arguments: pages) func isTrue(_ page: String) throws {
      let found = try Command.launch(
        ["\(Python.repository)/launch/guides", page],
        environment: ["LINEUP": Command.path, "LINEUP_PYTHON": try #require(Python.interpreter)], timeout: 240)
      #expect(found.code == 0, "\((found.output + found.errors).suffix(3000))")
    }
  }
}
