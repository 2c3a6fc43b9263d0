import Tensors

/// Comma-separated values as RFC 4180 has them: a field with a comma, a quote or a line end stands in double quotes, a
/// quote in it is doubled. Lines end with LF or CRLF; a byte order mark and empty lines are skipped.
enum CSV {
  struct Record: Equatable {
    /// The line of the file on which the record starts, from 1.
    let line: Int
    let fields: [String]
  }

  /// - Parameter path: names the file in errors.
  /// - Throws: `Failure.data` with file and line for a quote that does not end, or ends before the field does.
  static func records(of bytes: [UInt8], path: String) throws -> [Record] {
    let comma = UInt8(ascii: ","), quote = UInt8(ascii: "\""), lf = UInt8(ascii: "\n"), cr = UInt8(ascii: "\r")
    var records: [Record] = []
    var position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var line = 1

    func atLineEnd(_ position: Int) -> Bool {
      position == bytes.count || bytes[position] == lf
        || (bytes[position] == cr && (position + 1 == bytes.count || bytes[position + 1] == lf))
    }

    while position < bytes.count {
      let startLine = line
      var fields: [String] = []
      while true {
        var field: [UInt8] = []
        if position < bytes.count, bytes[position] == quote {
          let quoteLine = line
          position += 1
          while true {
            guard position < bytes.count else {
              throw Failure.data("\(path), line \(quoteLine): a quoted field does not end")
            }
            let byte = bytes[position]
            position += 1
            if byte == lf { line += 1 }
            if byte != quote {
              field.append(byte)
            } else if position < bytes.count, bytes[position] == quote {
              field.append(quote)
              position += 1
            } else {
              break
            }
          }
          guard atLineEnd(position) || bytes[position] == comma else {
            throw Failure.data("\(path), line \(line): text follows the closing quote of a field")
          }
        } else {
          while !atLineEnd(position), bytes[position] != comma {
            field.append(bytes[position])
            position += 1
          }
        }
        fields.append(String(decoding: field, as: UTF8.self))
        guard !atLineEnd(position) else { break }
        position += 1
      }
      if position < bytes.count, bytes[position] == cr { position += 1 }
      if position < bytes.count {
        position += 1
        line += 1
      }
      if fields != [""] { records.append(Record(line: startLine, fields: fields)) }
    }
    return records
  }

  /// `text` as a field: quoted where it has to be.
  static func field(_ text: String) -> String {
    guard text.utf8.contains(where: { byte in ",\"\r\n".utf8.contains(byte) }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
