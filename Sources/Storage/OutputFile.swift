import Foundation
import Tensors

/// A file open for writing, from beginning to end. Not for use by several threads at once.
package final class OutputFile {
  /// The name errors carry: the file's final one, where it is written aside.
  package let path: String
  private var descriptor: Int32

  /// - Parameter flags: of `open(2)`.
  package init(_ path: String, flags: Int32, shownAs shown: String? = nil) throws {
    self.path = shown ?? path
    // A pipe that nobody reads from is an error, not a wait.
    descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0o666)
    if descriptor < 0 { throw Failure.system(.internal, self.path, errno) }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
  }

  /// All of `bytes`, or `Failure.internal` (`…: No space left on device`).
  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure.system(.internal, path, errno)
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Throws where a device takes nothing at all, which a write of no bytes tells (`/dev/full`).
  func requireRoom() throws {
    if Foundation.write(descriptor, "", 0) < 0 { throw Failure.system(.internal, path, errno) }
  }

  package func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
  }

  /// Closes the file, its content on disk first where `synced`. Errors of earlier writes may show only here.
  package func close(synced: Bool) throws {
    let open = descriptor
    descriptor = -1
    let reason = synced && fsync(open) != 0 ? errno : 0
    let closing = Foundation.close(open) != 0 ? errno : 0
    if reason != 0 || closing != 0 { throw Failure.system(.internal, path, reason != 0 ? reason : closing) }
  }

  deinit {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
  }
}
