import Foundation
import Tensors

/// The lines of a text file, as many as are whole.
package enum Lines {
  /// A longer line is an error: no file of a run has one.
  package static let longest = 1 << 20

  /// Calls `body` with each whole line from `offset` on, without its end. No more than a line and a piece are in memory.
  /// - Returns: where the last of them ends.
  /// - Throws: `Failure.data` with the path, or what `body` throws.
  @discardableResult
  package static func read(
    _ file: InputFile, from offset: Int = 0, _ body: (ArraySlice<UInt8>) throws -> Void
  ) throws -> Int {
    var place = offset, held: [UInt8] = [], read = offset
    while read < file.size {
      var piece = [UInt8](repeating: 0, count: min(1 << 18, file.size - read))
      try piece.withUnsafeMutableBytes { try file.read(into: $0, at: read) }
      read += piece.count
      held += piece
      var start = held.startIndex
      while let end = held[start...].firstIndex(of: UInt8(ascii: "\n")) {
        try body(held[start..<end])
        place += end + 1 - start
        start = end + 1
      }
      held.removeSubrange(..<start)
      guard held.count <= longest else { throw Failure.data(file.path, "has a line of more than \(longest) bytes") }
    }
    return place
  }
}
