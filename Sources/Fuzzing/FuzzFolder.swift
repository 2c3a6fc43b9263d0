import Foundation
import Tensors

/// A folder for the files of a target, since readers take paths. In the folder of temporary files, which `TMPDIR` sets; on
/// a memory file system an input costs microseconds.
final class FuzzFolder {
  let path: String

  init() throws {
    let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(base)/lineup-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Failure.internal(base, "no folder can be made in it: \(String(cString: strerror(errno)))")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func folder(_ name: String) throws {
    guard mkdir("\(path)/\(name)", 0o777) == 0 else { throw failure(name) }
  }

  /// Writes a file, over the one that was there, and gives its path.
  @discardableResult
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let path = "\(path)/\(name)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(name) }
    defer { close(descriptor) }
    guard bytes.isEmpty || write(descriptor, bytes, bytes.count) == bytes.count else { throw failure(name) }
    return path
  }

  /// Not a reader's: whoever runs the target has no disk to write to.
  private func failure(_ name: String) -> FuzzFinding {
    FuzzFinding("\(path)/\(name) cannot be written: \(String(cString: strerror(errno)))")
  }
}
