import COpenSSL
import Foundation
import Tensors

/// SHA-256 through OpenSSL, as lower-case hexadecimal.
package final class SHA256 {
  private let context: OpaquePointer

  package init() throws {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      throw Failure.internal("OpenSSL offers no SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  package func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

  /// Once, at the end.
  package func finish() -> String {
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE)), length: UInt32 = 0
    EVP_DigestFinal_ex(context, &digest, &length)
    return digest[..<Int(length)].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  package static func digest(of bytes: UnsafeRawBufferPointer) throws -> String {
    let hash = try SHA256()
    hash.update(bytes)
    return hash.finish()
  }

  /// Of a text in UTF-8.
  package static func digest(of text: String) throws -> String {
    var text = text
    return try text.withUTF8 { try digest(of: UnsafeRawBufferPointer($0)) }
  }

  /// Of a regular file.
  package static func digest(ofFile path: String) throws -> (bytes: Int, sha256: String) {
    let file = try InputFile(path), hash = try SHA256()
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { chunk.deallocate() }
    for offset in stride(from: 0, to: file.size, by: chunk.count) {
      let part = UnsafeMutableRawBufferPointer(rebasing: chunk[..<min(chunk.count, file.size - offset)])
      try file.read(into: part, at: offset)
      hash.update(UnsafeRawBufferPointer(part))
    }
    return (file.size, hash.finish())
  }
}
