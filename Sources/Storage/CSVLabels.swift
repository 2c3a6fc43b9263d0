import Tensors

/// Identities and cameras in the columns of a CSV file.
///
/// White space around them does not count, quoted or not, and an integer is one however it is written: `7`, ` 0007`, `+7`
/// and `7.0` (as tools write a column that once had a gap) are the same. A minus may be U+2212. A negative identity is
/// junk.
extension CSVTable {
  /// A column of integers of 64 bits.
  /// - Throws: `Failure.data` with file and line for anything else.
  package func integers(_ name: String) throws -> [Int] {
    let column = try column(name)
    return try (0..<count).map { row in
      switch try label(row, column) {
      case .integer(let value): return value
      case .name(let text): throw failure(row, "\(name) is \"\(shown(text))\", expected an integer")
      }
    }
  }

  /// A column of integers, or, where one is not, of names: those and the integers' digits are then numbered from 1 in
  /// sorted order. Negative integers stay what they are.
  /// - Throws: `Failure.data` with file and line where a field is empty, or an integer has more than 64 bits.
  package func labels(_ name: String) throws -> [Int] {
    let column = try column(name)
    let labels = try (0..<count).map { try label($0, column) }
    let integers = labels.compactMap(\.integer)
    if integers.count == labels.count { return integers }
    let names = Set(labels.compactMap(\.name)).sorted()
    let numbers = Dictionary(uniqueKeysWithValues: zip(names, 1...))
    return labels.map { label in label.name.map { numbers[$0]! } ?? label.integer! }
  }

  private enum Label {
    case integer(Int), name(String)

    var integer: Int? { if case .integer(let value) = self { value } else { nil } }

    /// What is numbered.
    var name: String? {
      switch self {
      case .integer(let value): value < 0 ? nil : String(value)
      case .name(let text): text
      }
    }
  }

  private func label(_ row: Int, _ column: Int) throws -> Label {
    let text = try text(row, column).trimmed
    if text.isEmpty { throw failure(row, "\(header[column]) is empty") }
    guard let digits = Self.digits(of: text) else { return .name(text) }
    guard let value = Int(digits) else {
      throw failure(row, "\(header[column]) is \"\(shown(text))\", which does not fit 64 bits")
    }
    return .integer(value)
  }

  private func shown(_ text: String) -> String { Printable.line(text, limit: 60) }

  /// The sign (ASCII) and digits of an integer; nil where `text` is none.
  private static func digits(of text: String) -> String? {
    let isNegative = text.hasPrefix("-") || text.hasPrefix("\u{2212}")
    let unsigned = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
    let digits = unsigned.prefix { $0.isASCII && $0.isNumber }, rest = unsigned.dropFirst(digits.count)
    guard !digits.isEmpty, rest.isEmpty || rest.first == "." && rest.dropFirst().allSatisfy({ $0 == "0" }) else {
      return nil
    }
    return (isNegative ? "-" : "") + digits
  }
}
