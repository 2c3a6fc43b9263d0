import Foundation
import Tensors

/// Files and folders that are there whole or not at all.
///
/// Written aside as `.name.partial-…` in the same folder, synced to disk, renamed, and the folder synced: a crash at
/// any moment leaves the old content or the new one. A failure removes what was written aside and keeps the old.
package enum AtomicFiles {
  /// Writes the file at `path` with what `body` gives the `OutputFile`.
  ///
  /// A device, pipe or terminal (`/dev/stdout`) is written to directly, as there is nothing to rename over, or replaced
  /// where not `throughDevices`. Where not `synced`, for many small files that can be made again, only a crash of the
  /// machine can leave an empty one.
  /// - Throws: `Failure.internal` with the path and the system's reason, or what `body` throws.
  package static func write(
    to path: String, synced: Bool = true, throughDevices: Bool = true, _ body: (OutputFile) throws -> Void
  ) throws {
    var status = stat()
    if throughDevices && stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
      let device = try OutputFile(path, flags: O_WRONLY, shownAs: path)
      try body(device)
      return try device.close(synced: false)
    }
    let aside = partialName(of: path)
    do {
      let file = try OutputFile(aside, flags: O_WRONLY | O_CREAT | O_EXCL, shownAs: path)
      try body(file)
      try file.close(synced: synced)
      try check(rename(aside, path), path)
    } catch {
      unlink(aside)
      throw error
    }
    if synced { try syncDirectory(parent(of: path)) }
  }

  package static func write(_ text: String, to path: String) throws {
    try write(to: path) { try $0.write(text) }
  }

  /// One object or list of JSON, its keys sorted.
  package static func write(json value: some Encodable, escapingSlashes: Bool = true, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    if !escapingSlashes { encoder.outputFormatting.insert(.withoutEscapingSlashes) }
    try write(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n", to: path)
  }

  /// Throws what `write` would, as far as that can be known before: the folder takes no file, the device no bytes.
  package static func requireWritable(_ path: String) throws {
    var status = stat()
    if stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
      // Opened and closed, a pipe would be at its end for its reader.
      guard status.st_mode & S_IFMT == S_IFCHR else { return }
      let device = try OutputFile(path, flags: O_WRONLY, shownAs: path)
      try device.requireRoom()
      return try device.close(synced: false)
    }
    let aside = partialName(of: path)
    defer { unlink(aside) }
    try OutputFile(aside, flags: O_WRONLY | O_CREAT | O_EXCL, shownAs: path).close(synced: false)
  }

  /// Makes the folder at `path` of the files that `body` writes into the folder whose path it is given (files only, no
  /// folders in it).
  ///
  /// A folder that is already there is replaced: moved to `.name.replaced-…`, and removed once the new one stands.
  /// - Throws: `Failure.internal` with the path and the system's reason, or what `body` throws.
  package static func writeDirectory(_ path: String, _ body: (_ aside: String) throws -> Void) throws {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let aside = partialName(of: path)
    try check(mkdir(aside, 0o777), path)
    do {
      try body(aside)
      for name in try Folder.names(in: aside) { try syncFile("\(aside)/\(name)") }
      try syncDirectory(aside)
      var status = stat()
      if lstat(path, &status) == 0 {
        let old = asideName(of: path, "replaced")
        try check(rename(path, old), path)
        guard rename(aside, path) == 0 else {
          let reason = errno
          rename(old, path)
          throw Failure.system(.internal, path, reason)
        }
        try syncDirectory(parent(of: path))
        try? FileManager.default.removeItem(atPath: old)
      } else {
        try check(rename(aside, path), path)
      }
    } catch {
      try? FileManager.default.removeItem(atPath: aside)
      // Where it was written aside is nobody's concern.
      guard let failure = error as? Failure else { throw error }
      throw failure.renaming(aside, to: path)
    }
    try syncDirectory(parent(of: path))
  }

  /// Clears away what a crash left in `directory`: partial files and folders, and replaced folders, which go back to
  /// their name where the crash came before the new one took it. Only for a folder nobody else writes to.
  /// - Returns: the names that were removed or put back.
  @discardableResult
  package static func cleanLeftovers(in directory: String) throws -> [String] {
    var handled: [String] = []
    for name in try Folder.names(in: directory).sorted() where name.hasPrefix(".") {
      let path = "\(directory)/\(name)"
      if name.contains(".partial-") {
        try remove(path)
      } else if let mark = name.range(of: ".replaced-", options: .backwards) {
        let original = "\(directory)/\(name[name.index(after: name.startIndex)..<mark.lowerBound])"
        var status = stat()
        if lstat(original, &status) == 0 { try remove(path) } else { try check(rename(path, original), original) }
      } else {
        continue
      }
      handled.append(name)
    }
    return handled
  }

  /// Makes the folder at `path`, and those above it unless not `withParents`; nothing where it is there.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package static func makeDirectory(_ path: String, withParents: Bool = true) throws {
    var status = stat()
    if stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR { return }
    let above = parent(of: path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path)
    if withParents && above != path && above != "." { try makeDirectory(above) }
    // Another rank or job may be making it too.
    guard mkdir(path, 0o777) != 0 else { return }
    let reason = errno
    if reason == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
    throw Failure.system(.internal, path, reason == EEXIST ? ENOTDIR : reason)
  }

  // MARK: - Names

  private static func partialName(of path: String) -> String { asideName(of: path, "partial") }

  /// Unlike any other writer's, so that two jobs in one folder do not meet.
  private static func asideName(of path: String, _ why: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let unique = "\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))"
    return "\(parent(of: path))/.\(name).\(why)-\(unique)"
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  // MARK: - System calls

  /// The one place where a failed system call becomes an error.
  static func check(_ status: Int32, _ path: String) throws {
    if status != 0 { throw Failure.system(.internal, path, errno) }
  }

  private static func remove(_ path: String) throws {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw Failure.internal(path, "cannot be removed")
    }
  }

  private static func syncFile(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    try check(descriptor < 0 ? -1 : 0, path)
    defer { close(descriptor) }
    try check(fsync(descriptor), path)
  }

  private static func syncDirectory(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try check(descriptor < 0 ? -1 : 0, path)
    defer { close(descriptor) }
    // Some network file systems have nothing to sync in a folder and say so with EINVAL.
    if fsync(descriptor) != 0 && errno != EINVAL { throw Failure.system(.internal, path, errno) }
  }
}
