import Foundation

/// A file or folder by what the system knows it by: the same for every path that leads to it.
package struct FileIdentity: Hashable, Sendable {
  private let device: dev_t, inode: ino_t

  /// nil where nothing is there.
  package init?(_ path: String) {
    var status = stat()
    // The system would take a path to end at a NUL.
    guard !path.utf8.contains(0), stat(path, &status) == 0 else { return nil }
    (device, inode) = (status.st_dev, status.st_ino)
  }
}

extension FileIdentity {
  /// The first of `paths` that is the same file or folder as one before it, by whatever name.
  package static func repeated(_ paths: [String]) -> String? {
    var seen: Set<FileIdentity> = []
    return paths.first { path in FileIdentity(path).map { !seen.insert($0).inserted } ?? false }
  }
}
