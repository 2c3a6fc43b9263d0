import COpenSSL
import Foundation
import Tensors

/// Files and folders that are there whole or not at all.
///
/// Written aside as `.name.partial-…` in the same folder, synced to disk, renamed, and the folder synced: a crash at
/// any moment leaves the old content or the new one. A failure removes what was written aside and keeps the old.
package enum AtomicFiles {
  /// Writes the file at `path` with what `body` gives the `OutputFile`.
  ///
  /// A device, pipe or terminal (`/dev/stdout`) is written to directly, as there is nothing to rename over.
  /// - Throws: `Failure.internal` with the path and the system's reason, or what `body` throws.
  package static func write(to path: String, _ body: (OutputFile) throws -> Void) throws {
    var status = stat()
    if stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG {
      let device = try OutputFile(path, flags: O_WRONLY, shownAs: path)
      try body(device)
      return try device.close(synced: false)
    }
    let aside = partialName(of: path)
    do {
      let file = try OutputFile(aside, flags: O_WRONLY | O_CREAT | O_EXCL, shownAs: path)
      try body(file)
      try file.close(synced: true)
      try check(rename(aside, path), path)
    } catch {
      unlink(aside)
      throw error
    }
    try syncDirectory(parent(of: path))
  }

  package static func write(_ text: String, to path: String) throws {
    try write(to: path) { try $0.write(text) }
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
      for name in try names(in: aside) { try syncFile("\(aside)/\(name)") }
      try syncDirectory(aside)
      var status = stat()
      if lstat(path, &status) == 0 {
        let old = asideName(of: path, "replaced")
        try check(rename(path, old), path)
        guard rename(aside, path) == 0 else {
          let reason = errno
          rename(old, path)
          throw failure(path, reason)
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
      throw Failure(failure.kind, failure.message.replacing(aside, with: path))
    }
    try syncDirectory(parent(of: path))
  }

  /// Clears away what a crash left in `directory`: partial files and folders, and replaced folders, which go back to
  /// their name where the crash came before the new one took it. Only for a folder nobody else writes to.
  /// - Returns: the names that were removed or put back.
  @discardableResult
  package static func cleanLeftovers(in directory: String) throws -> [String] {
    var handled: [String] = []
    for name in try names(in: directory) where name.hasPrefix(".") {
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

  /// What lies directly in a folder, sorted.
  fileprivate static func names(in directory: String) throws -> [String] {
    guard let stream = opendir(directory) else { throw failure(directory, errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  // MARK: - System calls

  /// The one place where a failed system call becomes an error.
  fileprivate static func check(_ status: Int32, _ path: String) throws {
    if status != 0 { throw failure(path, errno) }
  }

  fileprivate static func failure(_ path: String, _ reason: Int32) -> Failure {
    .internal("\(path): \(String(cString: strerror(reason)))")
  }

  private static func remove(_ path: String) throws {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw Failure.internal("\(path): cannot be removed")
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
    if fsync(descriptor) != 0 && errno != EINVAL { throw failure(path, errno) }
  }
}

/// A file open for writing, from beginning to end. Not for use by several threads at once.
package final class OutputFile {
  /// The name errors carry: the file's final one, where it is written aside.
  package let path: String
  private var descriptor: Int32

  /// - Parameter flags: of `open(2)`.
  package init(_ path: String, flags: Int32, shownAs shown: String? = nil) throws {
    self.path = shown ?? path
    descriptor = open(path, flags | O_CLOEXEC, 0o666)
    if descriptor < 0 { throw AtomicFiles.failure(self.path, errno) }
  }

  /// All of `bytes`, or `Failure.internal` (`…: No space left on device`).
  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw AtomicFiles.failure(path, errno)
      }
      rest = rest.dropFirst(count)
    }
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
    if reason != 0 || closing != 0 { throw AtomicFiles.failure(path, reason != 0 ? reason : closing) }
  }

  deinit {
    if descriptor >= 0 { _ = Foundation.close(descriptor) }
  }
}

/// The files of a folder with their sizes and SHA-256, kept in it as `manifest.json`.
package struct Manifest: Codable, Sendable, Equatable {
  package static let name = "manifest.json"

  package struct File: Codable, Sendable, Equatable {
    package let name: String
    package let bytes: Int
    /// Lower-case hexadecimal.
    package let sha256: String
  }
  /// In order of their names.
  package let files: [File]

  /// Reads every file of `directory` and writes the manifest beside them.
  package static func write(into directory: String) throws {
    let files = try AtomicFiles.names(in: directory).filter { $0 != name && !$0.hasPrefix(".") }.map { name in
      let (bytes, sha256) = try digest(of: "\(directory)/\(name)")
      return File(name: name, bytes: bytes, sha256: sha256)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(Manifest(files: files)), as: UTF8.self)
    try AtomicFiles.write(text + "\n", to: "\(directory)/\(name)")
  }

  /// Compares the files of `directory` with its manifest, their content included.
  /// - Throws: `Failure.data` with the file that is missing, cut off or changed.
  @discardableResult
  package static func verify(_ directory: String) throws -> Manifest {
    let path = "\(directory)/\(name)"
    guard let text = FileManager.default.contents(atPath: path) else { throw Failure.data("\(path): missing") }
    guard let manifest = try? JSONDecoder().decode(Manifest.self, from: text) else {
      throw Failure.data("\(path): damaged")
    }
    for file in manifest.files {
      let path = "\(directory)/\(file.name)"
      guard !file.name.contains("/") && access(path, F_OK) == 0 else { throw Failure.data("\(path): missing") }
      let (bytes, sha256) = try digest(of: path)
      if bytes != file.bytes { throw Failure.data("\(path): has \(bytes) bytes, its manifest says \(file.bytes)") }
      if sha256 != file.sha256 { throw Failure.data("\(path): damaged, its SHA-256 is not that of its manifest") }
    }
    return manifest
  }

  private static func digest(of path: String) throws -> (bytes: Int, sha256: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw Failure.data("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { chunk.deallocate() }
    var bytes = 0
    guard let hash = EVP_MD_CTX_new(), EVP_DigestInit_ex(hash, EVP_sha256(), nil) == 1 else {
      throw Failure.internal("\(path): OpenSSL offers no SHA-256")
    }
    defer { EVP_MD_CTX_free(hash) }
    while true {
      let count = read(descriptor, chunk.baseAddress!, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw Failure.data("\(path): \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      EVP_DigestUpdate(hash, chunk.baseAddress, count)
      bytes += count
    }
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE)), length: UInt32 = 0
    EVP_DigestFinal_ex(hash, &digest, &length)
    return (bytes, digest[..<Int(length)].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
  }
}
