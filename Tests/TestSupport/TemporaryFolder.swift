import Foundation
import Tensors

/// A temporary folder that goes away with the test.
package final class TemporaryFolder {
  package let path: String

  package init() throws {
    path = NSTemporaryDirectory() + "lineup-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  package func file(_ name: String, _ text: String? = nil) throws -> String {
    let file = "\(path)/\(name)"
    if let text { try text.write(toFile: file, atomically: false, encoding: .utf8) }
    return file
  }

  package var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The message of the `Failure` of this kind that `body` throws.
package func message(_ kind: Failure.Kind, _ body: () throws -> Void) -> String? {
  do {
    try body()
  } catch let failure as Failure {
    return failure.kind == kind ? failure.message : "of another kind: \(failure)"
  } catch {
    return "not a Failure: \(error)"
  }
  return nil
}
