import Foundation
import Tensors

/// A file open for reading, and nothing but a file: a pipe, a device or a terminal in its place would be waited for or
/// read without end.
package final class InputFile: Sendable {
  package let path: String
  /// Bytes, when it was opened.
  package let size: Int
  private let descriptor: Int32

  /// - Throws: `Failure.data`: `<path>: <the system's reason>`.
  package init(_ path: String) throws(Failure) {
    // Without waiting for someone to write into a pipe.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure.system(.data, path, errno) }
    var status = stat()
    let isKnown = fstat(descriptor, &status) == 0, reason = errno
    guard isKnown, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      guard isKnown else { throw Failure.system(.data, path, reason) }
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      throw isFolder ? Failure.system(.data, path, EISDIR) : Failure.data(path, "not a regular file")
    }
    (self.path, self.descriptor, size) = (path, descriptor, Int(status.st_size))
  }

  deinit { close(descriptor) }

  /// Fills `buffer` with the bytes from `offset` on. From any number of threads.
  /// - Throws: `Failure.data` with the path, where the file ends before.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Failure) {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw Failure.system(.data, path, errno) }
      if count == 0 { throw Failure.data(path, "truncated while it was read") }
      done += count
    }
  }

  /// Makes sure that there is memory for `bytes` bytes of the file: one with holes in it can be larger than any memory, and
  /// an array that gets none ends the process.
  /// - Throws: `Failure.data` with the path and the size.
  package func requireMemory(_ bytes: Int) throws(Failure) {
    guard bytes > 1 << 26 else { return }
    let (pages, pageSize) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    if bytes / pageSize < pages {
      // Granted or not, nothing is taken by it.
      let probe = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      if let probe, probe != MAP_FAILED {
        munmap(probe, bytes)
        return
      }
    }
    throw Failure.data(path, "needs \(bytes) bytes of memory, more than there are")
  }
}

extension InputFile {
  /// The bytes of the regular file at `path`.
  /// - Parameter limit: a larger file is refused before it takes memory.
  /// - Throws: `Failure.data`: `<path>: <the system's reason>`.
  package static func read(_ path: String, limit: Int = 1 << 36) throws(Failure) -> [UInt8] {
    let file = try InputFile(path)
    guard file.size <= limit else {
      throw Failure.data(path, "\(file.size) bytes, more than the \(limit) that such a file may have")
    }
    try file.requireMemory(file.size)
    var failure: Failure?
    let bytes = [UInt8](unsafeUninitializedCapacity: file.size) { buffer, done in
      do throws(Failure) {
        let bytes = UnsafeMutableRawBufferPointer(buffer)
        try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<file.size]), at: 0)
        done = file.size
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// As `read`, for text in UTF-8.
  package static func text(_ path: String, limit: Int = 1 << 30) throws(Failure) -> String {
    guard let text = String(validating: try read(path, limit: limit), as: UTF8.self) else {
      throw Failure.data(path, "not UTF-8 text")
    }
    return text
  }

  /// Whether there is a regular file, and its size; nil where there is none.
  package static func size(_ path: String) -> Int? { size(path, in: AT_FDCWD) }

  /// The same of a path that counts from an open folder.
  static func size(_ path: UnsafePointer<CChar>, in folder: Int32) -> Int? {
    var status = stat()
    guard fstatat(folder, path, &status, 0) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
