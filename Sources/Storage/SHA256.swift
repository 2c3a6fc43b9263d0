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

  /// Of a regular file.
  package static func digest(ofFile path: String) throws -> (bytes: Int, sha256: String) {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    if descriptor < 0 { throw Failure.data("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Failure.data("\(path): not a regular file")
    }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { chunk.deallocate() }
    var bytes = 0
    let hash = try SHA256()
    while true {
      let count = read(descriptor, chunk.baseAddress!, chunk.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw Failure.data("\(path): \(String(cString: strerror(errno)))") }
      if count == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
      bytes += count
    }
    return (bytes, hash.finish())
  }
}
