import Foundation
import Tensors

/// A CSV file with a header: RFC 4180, that is quoted fields with "" for a quote, and LF or CRLF at line ends.
///
/// A byte order mark and empty lines are passed over. What is kept is the file and where its rows start; a field becomes
/// text when it is asked for. So a table takes little more memory than its file, whatever is in it.
package struct CSVTable: Sendable {
  /// The longest field that is read, in bytes: as long as a path can be.
  package static let longestField = 4096
  /// The most columns of a header.
  package static let mostColumns = 1000

  package let path: String
  /// Trimmed.
  package let header: [String]
  private let bytes: [UInt8]
  /// The offset of each row but the header.
  private let starts: [UInt32]

  /// Rows, without the header.
  package var count: Int { starts.count }

  /// - Throws: `Failure.data` with file and line where a quote is not closed or a row has too few or many fields.
  package init(path: String) throws {
    let bytes = try InputFile.read(path, limit: 1 << 31)
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw Failure.data(path, "UTF-16 text; expected UTF-8 (spreadsheets: save as CSV UTF-8)")
    }
    var columns: [CSVScanner.Field] = [], starts: [UInt32] = []
    do {
      try bytes.withUnsafeBufferPointer { bytes in
        var scanner = CSVScanner(bytes, at: bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0)
        while !scanner.isAtEnd {
          let start = scanner.position, first = try scanner.next()
          if first.isLast && first.content.isEmpty && !first.isQuoted { continue }
          let isHeader = columns.isEmpty
          if isHeader { columns.append(first) }
          var count = 1, isLast = first.isLast
          while !isLast {
            let field = try scanner.next()
            (count, isLast) = (count + 1, field.isLast)
            guard isHeader else { continue }
            if count > Self.mostColumns { throw CSVScanner.Damage(start, "more than \(Self.mostColumns) columns") }
            columns.append(field)
          }
          if isHeader { continue }
          guard count == columns.count else {
            throw CSVScanner.Damage(start, "\(count) fields, expected \(columns.count) as in the header")
          }
          starts.append(UInt32(start))
        }
      }
      header = try columns.map { try Self.text(bytes, $0, "the header").trimmed }
    } catch let damage as CSVScanner.Damage {
      throw Failure.data("\(path):\(Self.line(of: damage.position, bytes))", "\(damage.reason)")
    }
    if header.isEmpty { throw Failure.data(path, "empty; expected a header line") }
    (self.path, self.bytes, self.starts) = (path, bytes, starts)
  }

  /// The index of the column `name`; its absence is an error that tells which columns there are.
  package func column(_ name: String) throws -> Int {
    let found = header.indices.filter { header[$0] == name }
    if found.count == 1 { return found[0] }
    let shown = Printable.line(header.joined(separator: ","), limit: 60)
    let what = found.isEmpty ? "no column \"\(name)\"" : "the column \"\(name)\" \(found.count) times"
    throw Failure.data(path, "\(what); the header is \"\(shown)\"")
  }

  /// The column that `names` means: the first of them that is in the header, in capitals or not; nil where none is.
  package func firstColumn(_ names: [String]) throws -> Int? {
    for name in names {
      let found = header.indices.filter { header[$0].lowercased() == name }
      if found.count > 1 { _ = try column(header[found[0]]) }
      guard let first = found.first else { continue }
      guard found.count == 1 else {
        throw Failure.data(path, "the columns \"\(header[first])\" and \"\(header[found[1]])\" mean the same")
      }
      return first
    }
    return nil
  }

  /// As `firstColumn`; its absence is an error that tells which columns there are.
  package func requiredColumn(_ names: [String]) throws -> Int {
    if let found = try firstColumn(names) { return found }
    let shown = Printable.line(header.joined(separator: ","), limit: 60), others = names.dropFirst()
    let aliases = others.isEmpty ? "" : " (or \(others.joined(separator: ", ")))"
    throw Failure.data(path, "no column \"\(names[0])\"\(aliases); the header is \"\(shown)\"")
  }

  /// A field as it stands there.
  /// - Throws: `Failure.data` with file and line where it is not UTF-8, or longer than any path.
  package func text(_ row: Int, _ column: Int) throws -> String {
    do {
      return try bytes.withUnsafeBufferPointer { bytes in
        var scanner = CSVScanner(bytes, at: Int(starts[row]))
        for _ in 0..<column { _ = try scanner.next() }
        return try Self.text(self.bytes, try scanner.next(), header[column])
      }
    } catch let damage as CSVScanner.Damage {
      throw failure(row, damage.reason)
    }
  }

  /// What is wrong with a row, with file and line.
  package func failure(_ row: Int, _ reason: String) -> Failure {
    .data("\(path):\(line(of: row))", "\(reason)")
  }

  /// The line of the file that a row starts in, counted from 1.
  package func line(of row: Int) -> Int { Self.line(of: Int(starts[row]), bytes) }

  /// `value` as it stands in a CSV file, quoted where it must be.
  package static func field(_ value: String) -> String {
    let special = value.utf8.contains { byte in ",\"\r\n".utf8.contains(byte) }
    return special ? "\"" + value.replacing("\"", with: "\"\"") + "\"" : value
  }

  private static func text(_ bytes: [UInt8], _ field: CSVScanner.Field, _ name: String) throws -> String {
    guard field.content.count <= longestField else {
      let start = String(decoding: bytes[field.content.prefix(40)], as: UTF8.self)
      throw CSVScanner.Damage(
        field.content.lowerBound,
        "\(name) is \"\(Printable.line(start)) …\", \(field.content.count) bytes long; expected \(longestField) at most"
      )
    }
    guard let text = String(validating: bytes[field.content], as: UTF8.self) else {
      throw CSVScanner.Damage(field.content.lowerBound, "\(name) is not UTF-8 text")
    }
    return field.isQuoted ? text.replacing("\"\"", with: "\"") : text
  }

  /// Counted from 1. Lines are counted only for errors.
  private static func line(of position: Int, _ bytes: [UInt8]) -> Int {
    1 + bytes[..<position].count { $0 == UInt8(ascii: "\n") }
  }
}

extension String {
  /// Without white space, no-break spaces, byte order marks and other characters that do not show, at both ends.
  package var trimmed: String {
    func shows(_ scalar: Unicode.Scalar) -> Bool {
      let properties = scalar.properties
      return !properties.isWhitespace && properties.generalCategory != .control && properties.generalCategory != .format
    }
    guard let first = unicodeScalars.firstIndex(where: shows), let last = unicodeScalars.lastIndex(where: shows) else {
      return ""
    }
    return String(unicodeScalars[first...last])
  }
}

/// Goes through a CSV file field by field.
private struct CSVScanner {
  struct Field {
    /// Without the quotes around it; those in it are doubled.
    let content: Range<Int>
    let isQuoted: Bool
    /// Of its row.
    let isLast: Bool
  }

  struct Damage: Error {
    let position: Int, reason: String
    init(_ position: Int, _ reason: String) { (self.position, self.reason) = (position, reason) }
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  private(set) var position: Int

  init(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int) { (self.bytes, self.position) = (bytes, position) }

  var isAtEnd: Bool { position == bytes.count }

  /// LF, CRLF, or the end of the file, also after a CR.
  private var isAtLineEnd: Bool {
    guard position < bytes.count else { return true }
    if bytes[position] == UInt8(ascii: "\n") { return true }
    guard bytes[position] == UInt8(ascii: "\r") else { return false }
    return position + 1 == bytes.count || bytes[position + 1] == UInt8(ascii: "\n")
  }

  /// The next field, and past the comma or line end behind it. At the end of the file an empty one.
  mutating func next() throws(Damage) -> Field {
    let quote = UInt8(ascii: "\""), comma = UInt8(ascii: ",")
    let isQuoted = position < bytes.count && bytes[position] == quote
    let content: Range<Int>
    if isQuoted {
      let opening = position
      position += 1
      while true {
        guard position < bytes.count else { throw Damage(opening, "a quote that is never closed") }
        if bytes[position] != quote {
          position += 1
        } else if position + 1 < bytes.count && bytes[position + 1] == quote {
          position += 2
        } else {
          break
        }
      }
      content = opening + 1..<position
      position += 1
    } else {
      let start = position
      while !isAtLineEnd && bytes[position] != comma { position += 1 }
      content = start..<position
    }
    if isAtLineEnd {
      if position < bytes.count && bytes[position] == UInt8(ascii: "\r") { position += 1 }
      if position < bytes.count { position += 1 }
      return Field(content: content, isQuoted: isQuoted, isLast: true)
    }
    guard bytes[position] == comma else { throw Damage(position, "text after a closing quote") }
    position += 1
    return Field(content: content, isQuoted: isQuoted, isLast: false)
  }
}
