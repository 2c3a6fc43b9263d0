import Tensors

/// A line of `metrics.jsonl` or of one of its kind: a JSON object of numbers, texts, true, false and null, its fields in the
/// order that they stand in.
package struct MetricsLine: Sendable, Equatable {
  package enum Value: Sendable, Equatable {
    /// As it is written, and what it is.
    case number(String, Double)
    case text(String)
    case flag(Bool)
    case null
  }

  package struct Field: Sendable, Equatable {
    package let key: String
    package let value: Value
  }

  package let fields: [Field]

  /// - Throws: `Malformed`.
  package init(_ bytes: ArraySlice<UInt8>) throws(Malformed) {
    var parser = Parser(rest: bytes)
    fields = try parser.object()
  }

  /// What is wrong with a line, as it goes on after its number.
  package struct Malformed: Error { package let reason: String }

  /// A number; nil where there is none of this name, or it is none.
  package subscript(key: String) -> Double? {
    guard case .number(_, let number)? = value(key) else { return nil }
    return number
  }

  package func value(_ key: String) -> Value? { fields.first { $0.key == key }?.value }

  /// A count, such as a step: from 0 on; nil where there is none.
  package func count(_ key: String) -> Int? {
    self[key].flatMap { Int(exactly: $0) }.flatMap { (0...1 << 53).contains($0) ? $0 : nil }
  }

  /// Whether it tells of a step; otherwise of an evaluation.
  package var isStep: Bool { value("loss") != nil }
}

extension MetricsLine {
  /// Every whole line of a file, with its number and step; empty ones and one that is being written do not count.
  /// - Throws: `Failure.data` with the path and the number of a line that is no object of numbers and texts, or has no step.
  package static func read(_ file: InputFile, _ body: (_ number: Int, _ step: Int, MetricsLine) throws -> Void) throws {
    var number = 0
    try Lines.read(file) { bytes in
      number += 1
      guard !bytes.isEmpty else { return }
      let line: MetricsLine
      do throws(Malformed) { line = try MetricsLine(bytes) } catch {
        throw Failure.data("\(file.path):\(number)", error.reason)
      }
      guard let step = line.count("step") else { throw Failure.data("\(file.path):\(number)", "has no step") }
      try body(number, step, line)
    }
  }
}

/// JSON (RFC 8259) without objects and lists in an object.
private struct Parser {
  var rest: ArraySlice<UInt8>

  typealias Malformed = MetricsLine.Malformed

  mutating func object() throws(Malformed) -> [MetricsLine.Field] {
    var fields: [MetricsLine.Field] = [], names: Set<String> = []
    try require("{")
    if take("}") { return try ended(fields) }
    repeat {
      let key = try text()
      guard names.insert(key).inserted else { throw Malformed(reason: "has the field \(Printable.line(key)) twice") }
      try require(":")
      fields.append(.init(key: key, value: try value()))
    } while take(",")
    try require("}")
    return try ended(fields)
  }

  private mutating func ended(_ fields: [MetricsLine.Field]) throws(Malformed) -> [MetricsLine.Field] {
    skipSpace()
    guard rest.isEmpty else { throw unexpected("nothing more") }
    return fields
  }

  private mutating func value() throws(Malformed) -> MetricsLine.Value {
    skipSpace()
    switch rest.first {
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "t"): return try word("true", .flag(true))
    case UInt8(ascii: "f"): return try word("false", .flag(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(_ word: String, _ value: MetricsLine.Value) throws(Malformed) -> MetricsLine.Value {
    guard rest.starts(with: word.utf8) else { throw unexpected(word) }
    rest = rest.dropFirst(word.utf8.count)
    return value
  }

  private mutating func number() throws(Malformed) -> MetricsLine.Value {
    let start = rest
    func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    func digits() -> Int { rest.prefix(while: isDigit).count }
    _ = skip("-")
    let whole = digits()
    guard whole == 1 || whole > 1 && rest.first != UInt8(ascii: "0") else { throw unexpected("a value") }
    rest = rest.dropFirst(whole)
    if skip(".") {
      guard digits() > 0 else { throw unexpected("a digit") }
      rest = rest.dropFirst(digits())
    }
    if skip("e") || skip("E") {
      if !skip("+") { _ = skip("-") }
      guard digits() > 0 else { throw unexpected("a digit") }
      rest = rest.dropFirst(digits())
    }
    let text = String(decoding: start[..<rest.startIndex], as: UTF8.self)
    guard let number = Double(text), number.isFinite else {
      throw Malformed(reason: "has the number \(Printable.line(text, limit: 40)), which is out of range")
    }
    return .number(text, number)
  }

  private mutating func text() throws(Malformed) -> String {
    try require("\"")
    var bytes: [UInt8] = []
    while !skip("\"") {
      guard let byte = rest.popFirst() else { throw Malformed(reason: "ends in a text") }
      guard byte >= 0x20 else { throw Malformed(reason: "has a control character in a text") }
      if byte == UInt8(ascii: "\\") { try escape(into: &bytes) } else { bytes.append(byte) }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Malformed(reason: "is not UTF-8") }
    return text
  }

  /// What stands after a backslash.
  private mutating func escape(into bytes: inout [UInt8]) throws(Malformed) {
    guard let byte = rest.popFirst() else { throw Malformed(reason: "ends in a text") }
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
    case UInt8(ascii: "b"): bytes.append(8)
    case UInt8(ascii: "f"): bytes.append(12)
    case UInt8(ascii: "n"): bytes.append(10)
    case UInt8(ascii: "r"): bytes.append(13)
    case UInt8(ascii: "t"): bytes.append(9)
    case UInt8(ascii: "u"):
      var units = [try unit()]
      if UTF16.isLeadSurrogate(units[0]), rest.starts(with: "\\u".utf8) {
        rest = rest.dropFirst(2)
        units.append(try unit())
      }
      guard let text = String(validating: units, as: UTF16.self) else {
        throw Malformed(reason: "has half a character in a text")
      }
      bytes += Array(text.utf8)
    default: throw Malformed(reason: "has an escape that JSON has not")
    }
  }

  private mutating func unit() throws(Malformed) -> UInt16 {
    let hex = String(decoding: rest.prefix(4), as: UTF8.self)
    guard hex.utf8.count == 4, hex.allSatisfy(\.isHexDigit), let unit = UInt16(hex, radix: 16) else {
      throw Malformed(reason: "has an escape that JSON has not")
    }
    rest = rest.dropFirst(4)
    return unit
  }

  // MARK: - Signs

  private mutating func skipSpace() {
    rest = rest.drop { $0 == 0x20 || $0 == 9 || $0 == 10 || $0 == 13 }
  }

  /// The next byte, where it is `sign`.
  private mutating func skip(_ sign: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: sign) else { return false }
    rest = rest.dropFirst()
    return true
  }

  private mutating func take(_ sign: Unicode.Scalar) -> Bool {
    skipSpace()
    return skip(sign)
  }

  private mutating func require(_ sign: Unicode.Scalar) throws(Malformed) {
    guard take(sign) else { throw unexpected("\(sign)") }
  }

  private func unexpected(_ wanted: String) -> Malformed {
    guard let byte = rest.first else { return Malformed(reason: "ends where \(wanted) was expected") }
    let found = (0x21..<0x7f).contains(byte) ? String(UnicodeScalar(byte)) : "byte \(byte)"
    return Malformed(reason: "has \(found) where \(wanted) was expected")
  }
}
