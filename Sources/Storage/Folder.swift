import Foundation
import Synchronization
import Tensors

/// Folders of many files.
package enum Folder {
  /// What lies directly in a folder, in the system's order.
  /// - Throws: `Failure.internal`: `<path>: <the system's reason>`.
  package static func names(in folder: String) throws(Failure) -> [String] {
    guard let stream = opendir(folder) else { throw Failure.system(.internal, folder, errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// The sizes of these files, −1 where there is no regular one. Several threads ask, since a network file system lets each
  /// of them wait.
  /// - Parameter progress: called after every file, by any thread.
  package static func sizes(of paths: [String], progress: @escaping @Sendable () -> Void) -> [Int] {
    let piece = 512, pieces = (paths.count + piece - 1) / piece
    return [Int](unsafeUninitializedCapacity: paths.count) { buffer, count in
      nonisolated(unsafe) let sizes = buffer
      let next = Counter(), group = DispatchGroup()
      for _ in 0..<min(threads, pieces) {
        group.enter()
        Threads.start("lineup-sizes") {
          var place = OpenFolder()
          while case let index = next.take(), index < pieces {
            for i in index * piece..<min(paths.count, (index + 1) * piece) {
              sizes.initializeElement(at: i, to: place.size(of: paths[i]))
              progress()
            }
          }
          place.close()
          group.leave()
        }
      }
      group.wait()
      count = paths.count
    }
  }

  private static let threads = 8

  private final class Counter: Sendable {
    private let value = Atomic(0)
    func take() -> Int { value.add(1, ordering: .relaxed).oldValue }
  }
}

/// The folder of the last file that was asked for, open: the next one of it is found without a walk from the root.
private struct OpenFolder {
  private var path: [CChar] = [], descriptor: Int32 = -1

  /// The size of a regular file, or −1.
  mutating func size(of file: String) -> Int {
    file.withCString { file in
      var status = stat()
      guard let slash = strrchr(file, Int32(UInt8(ascii: "/"))), case let length = UnsafePointer(slash) - file,
        length > 0
      else {
        return Self.size(stat(file, &status), status)
      }
      if length != path.count || memcmp(file, path, length) != 0 {
        close()
        path = Array(UnsafeBufferPointer(start: file, count: length))
        descriptor = open(
          String(decoding: path.map(UInt8.init(bitPattern:)), as: UTF8.self), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      }
      // A folder that cannot be read can have files that can.
      return Self.size(descriptor < 0 ? stat(file, &status) : fstatat(descriptor, slash + 1, &status, 0), status)
    }
  }

  mutating func close() {
    if descriptor >= 0 { Foundation.close(descriptor) }
    descriptor = -1
  }

  private static func size(_ result: Int32, _ status: stat) -> Int {
    result == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : -1
  }
}
