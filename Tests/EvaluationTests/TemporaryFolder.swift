import Evaluation
import Foundation
import Tensors
import Testing

/// A folder that goes when the test does.
final class TemporaryFolder {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("lineup-evaluation-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  @discardableResult func write(_ bytes: some Sequence<UInt8>, _ name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }
}

/// The failure of `body` is of this kind, one line, and names the file and the reason.
func expectFailure<Result>(
  _ kind: Failure.Kind, naming file: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Result
) {
  let failure = #expect(throws: Failure.self, sourceLocation: sourceLocation) { _ = try body() }
  guard let failure else { return }
  #expect(failure.kind == kind, sourceLocation: sourceLocation)
  #expect(failure.message.hasPrefix(file), "\(failure.message)", sourceLocation: sourceLocation)
  #expect(failure.message.contains(reason), "\(failure.message)", sourceLocation: sourceLocation)
  #expect(!failure.message.contains("\n"), sourceLocation: sourceLocation)
}
