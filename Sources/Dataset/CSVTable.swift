import Foundation
import Tensors

/// A CSV file with a header: RFC 4180, that is quoted fields with "" for a quote, and LF or CRLF at line ends.
///
/// A byte order mark and empty lines are passed over.
struct CSVTable {
  let path: String
  let header: [String]
  /// Each as long as the header; `line` is where the row starts, counted from 1.
  let rows: [(line: Int, fields: [String])]

  /// Throws `Failure.data` with file and line where a quote is not closed or a row has too few or many fields.
  init(path: String) throws {
    var rows = try Self.parse(ImageCodec.readBytes(path: path), path: path)
    guard let first = rows.first else { throw Failure.data("\(path): empty; expected a header line") }
    rows.removeFirst()
    for row in rows where row.fields.count != first.fields.count {
      let expected = "expected \(first.fields.count) as in the header"
      throw Failure.data("\(path):\(row.line): \(row.fields.count) fields, \(expected)")
    }
    self.path = path
    header = first.fields.map { $0.trimmingCharacters(in: .whitespaces) }
    self.rows = rows
  }

  /// The index of the column `name`; its absence is an error that tells which columns there are.
  func column(_ name: String) throws -> Int {
    if let index = header.firstIndex(of: name) { return index }
    throw Failure.data("\(path): no column \"\(name)\"; the header is \"\(header.joined(separator: ","))\"")
  }

  /// `value` as it stands in a CSV file, quoted where it must be.
  static func quoted(_ value: String) -> String {
    let special = value.utf8.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
    return special ? "\"" + value.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : value
  }

  private static func parse(_ bytes: [UInt8], path: String) throws -> [(line: Int, fields: [String])] {
    let quote = UInt8(ascii: "\""), comma = UInt8(ascii: ","), lineFeed = UInt8(ascii: "\n")
    var rows: [(line: Int, fields: [String])] = []
    var fields: [String] = [], field: [UInt8] = []
    var line = 1, startLine = 1
    var quotedFrom: Int?, wasQuoted = false
    var index = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0

    func endField() {
      fields.append(String(decoding: field, as: UTF8.self))
      field.removeAll(keepingCapacity: true)
      wasQuoted = false
    }
    func endRow() {
      if fields.isEmpty && field.isEmpty && !wasQuoted { return }
      endField()
      rows.append((startLine, fields))
      fields.removeAll(keepingCapacity: true)
    }

    while index < bytes.count {
      let byte = bytes[index]
      let next = index + 1 < bytes.count ? bytes[index + 1] : 0
      index += 1
      if byte == lineFeed { line += 1 }
      if quotedFrom != nil {
        if byte != quote {
          field.append(byte)
        } else if next == quote {
          field.append(quote)
          index += 1
        } else {
          quotedFrom = nil
        }
      } else if byte == quote && field.isEmpty && !wasQuoted {
        quotedFrom = line
        wasQuoted = true
      } else if byte == comma {
        endField()
      } else if byte == lineFeed {
        endRow()
        startLine = line
      } else if byte == UInt8(ascii: "\r") && (next == lineFeed || index == bytes.count) {
        continue
      } else {
        if wasQuoted { throw Failure.data("\(path):\(line): text after a closing quote") }
        field.append(byte)
      }
    }
    if let quotedFrom { throw Failure.data("\(path):\(quotedFrom): a quote that is never closed") }
    endRow()
    return rows
  }
}
