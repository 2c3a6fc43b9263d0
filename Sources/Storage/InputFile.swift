import Foundation
import Tensors

/// Files that are read whole, and nothing but files: a pipe, a device or a terminal in their place would be waited for or
/// read without end.
package enum InputFile {
  /// The bytes of the regular file at `path`.
  /// - Parameter limit: a larger file is refused before it takes memory.
  /// - Throws: `Failure.data`: `<path>: <the system's reason>`.
  package static func read(_ path: String, limit: Int = 1 << 36) throws(Failure) -> [UInt8] {
    func wrong(_ why: String) -> Failure { .data("\(path): \(why)") }
    // Without waiting for someone to write into a pipe.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw wrong(String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw wrong(String(cString: strerror(errno))) }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    guard status.st_mode & S_IFMT == S_IFREG else { throw wrong(isFolder ? "Is a directory" : "not a regular file") }
    let size = Int(status.st_size)
    guard size <= limit else { throw wrong("\(size) bytes, more than the \(limit) that such a file may have") }
    var reason: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, done in
      while done < size {
        let count = Foundation.read(descriptor, buffer.baseAddress! + done, size - done)
        if count < 0 && errno == EINTR { continue }
        if count < 0 { reason = errno }
        if count <= 0 { break }
        done += count
      }
    }
    if reason != 0 { throw wrong(String(cString: strerror(reason))) }
    guard bytes.count == size else { throw wrong("cut short while it was read") }
    return bytes
  }

  /// As `read`, for text in UTF-8.
  package static func text(_ path: String, limit: Int = 1 << 30) throws(Failure) -> String {
    guard let text = String(validating: try read(path, limit: limit), as: UTF8.self) else {
      throw Failure.data("\(path): not UTF-8 text")
    }
    return text
  }

  /// Whether there is a regular file, and its size; nil where there is none.
  package static func size(_ path: String) -> Int? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }
}
