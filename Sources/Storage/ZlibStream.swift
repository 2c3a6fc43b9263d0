import CZlib
import Tensors

/// A range of a file's bytes that zlib compressed (RFC 1950).
package struct ZlibStream {
  let file: InputFile
  let range: Range<Int>

  package init(_ file: InputFile, _ range: Range<Int>) { (self.file, self.range) = (file, range) }

  /// Whether it is whole: can be inflated to its end, and has the content of which its checksum tells. What is inflated is
  /// thrown away, piece by piece.
  /// - Throws: `Failure.data` where the file cannot be read.
  package func isWhole() throws(Failure) -> Bool {
    var stream = z_stream()
    guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return false }
    defer { inflateEnd(&stream) }
    let piece = 1 << 16
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
    defer {
      input.deallocate()
      output.deallocate()
    }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let count = min(piece, range.upperBound - offset)
      try file.read(into: UnsafeMutableRawBufferPointer(rebasing: input[..<count]), at: offset)
      offset += count
      stream.next_in = input.bindMemory(to: Bytef.self).baseAddress
      stream.avail_in = uInt(count)
      repeat {
        stream.next_out = output.bindMemory(to: Bytef.self).baseAddress
        stream.avail_out = uInt(piece)
        switch inflate(&stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: continue
        case Z_STREAM_END: return true
        default: return false
        }
      } while stream.avail_out == 0
    }
    return false
  }
}
