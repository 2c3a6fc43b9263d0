import Foundation
import Tensors

/// The files of a folder with their sizes and SHA-256, kept in it as `manifest.json`.
package struct Manifest: Codable, Sendable, Equatable {
  package static let name = "manifest.json"

  package struct File: Codable, Sendable, Equatable {
    package let name: String
    package let bytes: Int
    /// Lower-case hexadecimal.
    package let sha256: String
  }
  /// The name that the folder was given when it was written; nil before version 0.2. A copy under another name is
  /// somebody's own.
  package let folder: String?
  /// In order of their names.
  package let files: [File]

  /// Reads every file of `directory`, which will be called `folder`, and writes the manifest beside them.
  package static func write(into directory: String, folder: String? = nil) throws {
    let files = try Folder.names(in: directory).sorted().filter { $0 != name && !$0.hasPrefix(".") }.map { name in
      let (bytes, sha256) = try SHA256.digest(ofFile: "\(directory)/\(name)")
      return File(name: name, bytes: bytes, sha256: sha256)
    }
    try AtomicFiles.write(
      json: Manifest(folder: folder, files: files), escapingSlashes: false, to: "\(directory)/\(name)")
  }

  /// The manifest of `directory`, which says nothing yet about the files.
  package static func read(_ directory: String) throws -> Manifest {
    let path = "\(directory)/\(name)"
    guard access(path, F_OK) == 0 else {
      throw Failure.data(path, "\(errno == ENOENT ? "missing" : String(cString: strerror(errno)))")
    }
    let bytes = try InputFile.read(path, limit: 1 << 20)
    guard let manifest = try? JSONDecoder().decode(Manifest.self, from: Foundation.Data(bytes)) else {
      throw Failure.data(path, "damaged")
    }
    return manifest
  }

  /// What is wrong with the files at a glance: missing, or of another size than the manifest's. nil where nothing is.
  package func problem(in directory: String) -> String? {
    for file in files {
      let path = "\(directory)/\(file.name)"
      guard Self.isName(file.name), let bytes = InputFile.size(path) else { return "\(path): missing" }
      if bytes != file.bytes { return "\(path): has \(bytes) bytes, its manifest says \(file.bytes)" }
    }
    return nil
  }

  /// Of a file in the folder itself. The system would end a path at a zero.
  private static func isName(_ name: String) -> Bool { !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 } }

  /// Compares the files of `directory` with its manifest, their content included.
  /// - Throws: `Failure.data` with the file that is missing, cut off or changed.
  @discardableResult
  package static func verify(_ directory: String) throws -> Manifest {
    let manifest = try read(directory)
    for file in manifest.files {
      let path = "\(directory)/\(file.name)"
      guard Self.isName(file.name) && access(path, F_OK) == 0 else { throw Failure.data(path, "missing") }
      let (bytes, sha256) = try SHA256.digest(ofFile: path)
      if bytes != file.bytes { throw Failure.data(path, "has \(bytes) bytes, its manifest says \(file.bytes)") }
      if sha256 != file.sha256 { throw Failure.data(path, "damaged, its SHA-256 is not that of its manifest") }
    }
    return manifest
  }
}
