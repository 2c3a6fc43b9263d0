import COpenSSL
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
