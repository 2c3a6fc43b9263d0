import Foundation
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

  /// The sizes of these files, nil where there is no regular one. Several threads ask, since a network file system lets each
  /// of them wait.
  /// - Parameter progress: called after every file, by any thread.
  package static func sizes(of paths: [String], progress: () -> Void) -> [Int?] {
    let piece = 512, pieces = (paths.count + piece - 1) / piece
    var sizes = [Int?](repeating: nil, count: paths.count)
    sizes.withUnsafeMutableBufferPointer { sizes in
      Workers(count: max(1, min(8, pieces))).parallelFor(pieces) { index, _ in
        var folder = OpenFolder()
        for i in index * piece..<min(paths.count, (index + 1) * piece) {
          sizes[i] = folder.size(of: paths[i])
          progress()
        }
      }
    }
    return sizes
  }
}

/// The folder of the last file that was asked for, open: the next one of it is found without a walk from the root.
private struct OpenFolder: ~Copyable {
  private var path: [CChar] = [0], descriptor: Int32 = -1

  deinit { close() }

  /// As `InputFile.size`.
  mutating func size(of file: String) -> Int? {
    file.withCString { bytes in
      guard let slash = strrchr(bytes, Int32(UInt8(ascii: "/"))), case let length = UnsafePointer(slash) - bytes,
        length > 0
      else { return InputFile.size(file) }
      if length + 1 != path.count || memcmp(bytes, path, length) != 0 {
        close()
        path = UnsafeBufferPointer(start: bytes, count: length) + [0]
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      }
      // A folder that cannot be read can have files that can.
      return descriptor < 0 ? InputFile.size(file) : InputFile.size(slash + 1, in: descriptor)
    }
  }

  private func close() {
    if descriptor >= 0 { Foundation.close(descriptor) }
  }
}
