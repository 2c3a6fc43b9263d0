import Tensors

/// Identities and cameras in the columns of a CSV file.
///
/// White space around them does not count, quoted or not, and an integer is one however it is written: `7`, ` 0007`, `+7`
/// and `7.0` (as tools write a column that once had a gap) are the same, also in the full-width characters of East Asian
/// keyboards. A minus may be U+2212. A negative identity is junk.
extension CSVTable {
  /// The labels of a column.
  package struct Labels {
    package let values: [Int]
    /// What the numbers stand for; nothing where all fields are integers.
    package var names: [Int: String] = [:]
    /// What to say where numbers and names are mixed, which is a mistake as a rule (a slip of the keyboard, two files put
    /// together).
    package var warning: String?
  }

  /// A column of integers of 64 bits.
  /// - Throws: `Failure.data` with file and line for anything else.
  package func integers(_ name: String) throws -> [Int] {
    let column = try column(name)
    return try (0..<count).map { row in try integer(label(row, column), row, name) }
  }

  /// A column of integers with gaps; nil where the table has none, or one without a single integer, which is somebody else's.
  /// - Parameter empty: what an empty field means.
  /// - Throws: `Failure.data` with file and line for anything else among integers.
  package func integers(ifAny name: String, empty: Int) throws -> [Int]? {
    guard header.contains(name) else { return nil }
    let column = try column(name)
    let labels = try (0..<count).map { row in
      try text(row, column).trimmed.isEmpty ? nil : try label(row, column)
    }
    guard labels.contains(where: { $0?.integer != nil }) else { return nil }
    return try labels.enumerated().map { row, label in try label.map { try integer($0, row, name) } ?? empty }
  }

  private func integer(_ label: Label, _ row: Int, _ name: String) throws -> Int {
    switch label {
    case .integer(let value): return value
    case .name(let text): throw failure(row, "\(name) is \"\(shown(text))\", expected an integer")
    }
  }

  /// A column of integers, or, where one is not, of names: those and the integers' digits are then numbered from 1 in
  /// sorted order. Negative integers stay what they are.
  /// - Throws: `Failure.data` with file and line where a field is empty, or an integer has more than 64 bits.
  package func labels(_ name: String) throws -> Labels { try labels(at: column(name)) }

  /// As `labels`, by the column's index.
  package func labels(at column: Int) throws -> Labels {
    let name = header[column]
    let labels = try (0..<count).map { try label($0, column) }
    let integers = labels.compactMap(\.integer)
    if integers.count == labels.count { return Labels(values: integers) }
    let names = Set(labels.compactMap(\.name)).sorted()
    let numbers = Dictionary(uniqueKeysWithValues: zip(names, 1...))
    return Labels(
      values: labels.map { label in label.name.map { numbers[$0]! } ?? label.integer! },
      names: Dictionary(uniqueKeysWithValues: zip(1..., names)), warning: mixture(labels, name))
  }

  /// As `labels`, by `firstColumn`; nil where the table has no such column.
  package func labels(ofFirst names: [String]) throws -> Labels? {
    try firstColumn(names).map { try labels(at: $0) }
  }

  private func mixture(_ labels: [Label], _ name: String) -> String? {
    func isNumber(_ label: Label) -> Bool { label.integer.map { $0 >= 0 } ?? false }
    let numbers = labels.count(where: isNumber), names = labels.count { $0.integer == nil }
    guard numbers > 0, names > 0 else { return nil }
    let isNumbers = numbers < names
    let row = labels.firstIndex { isNumbers ? isNumber($0) : $0.integer == nil }!
    return "\(path):\(line(of: row)): \(name) is \"\(shown(labels[row].name!))\", "
      + (isNumbers ? "a number among names" : "a name among numbers")
      + " (\(min(numbers, names)) of \(numbers + names))"
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
    let text = narrow(text)
    let isNegative = text.hasPrefix("-") || text.hasPrefix("\u{2212}")
    let unsigned = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
    let digits = unsigned.prefix { $0.isASCII && $0.isNumber }, rest = unsigned.dropFirst(digits.count)
    guard !digits.isEmpty, rest.isEmpty || rest.first == "." && rest.dropFirst().allSatisfy({ $0 == "0" }) else {
      return nil
    }
    return (isNegative ? "-" : "") + digits
  }

  /// Full-width digits and signs (U+FF01 to U+FF5E stand for ASCII) as ASCII.
  private static func narrow(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { (0xFF01...0xFF5E).contains($0.value) }) else { return text }
    return String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          (0xFF01...0xFF5E).contains(scalar.value) ? Unicode.Scalar(scalar.value - 0xFEE0)! : scalar
        }))
  }
}
