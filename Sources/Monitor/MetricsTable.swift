import Storage

/// `metrics.jsonl` as tables: one of steps, one of evaluations, a column a field.
package struct MetricsTable {
  package enum Kind: Sendable { case steps, evaluations }

  private let file: InputFile
  private let kind: Kind
  /// Of all lines, in the order that they first stand in.
  package let columns: [String]
  /// The last step or evaluation is in any selection.
  private let last: Int?

  /// Looks at every line.
  /// - Throws: `Failure.data` with path and number of a line that is no object of numbers and texts. A last line that is not whole
  ///   does not count.
  package init(_ path: String, _ kind: Kind) throws {
    (file, self.kind) = (try InputFile(path), kind)
    var columns: [String] = [], known: Set<String> = [], last: Int?
    try Self.forEachLine(of: file, kind) { number, line in
      last = number
      for field in line.fields where known.insert(field.key).inserted { columns.append(field.key) }
    }
    (self.columns, self.last) = (columns, last)
  }

  /// Calls `write` with pieces of the table as CSV (RFC 4180): a header of names, a field empty where a line has none or null.
  /// - Parameter steps: only the lines of steps that are multiples of this, and the last.
  package func csv(every steps: Int = 1, _ write: (String) throws -> Void) throws {
    guard !columns.isEmpty else { return }
    try write(Self.row(columns))
    let places = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1, $0) })
    try Self.forEachLine(of: file, kind) { number, line in
      guard number == last || (line.count("step") ?? 0) % steps == 0 else { return }
      var row = [String](repeating: "", count: columns.count)
      for field in line.fields {
        switch field.value {
        case .number(let text, _), .text(let text): row[places[field.key]!] = text
        case .flag(let flag): row[places[field.key]!] = "\(flag)"
        case .null: break
        }
      }
      try write(Self.row(row))
    }
  }

  private static func forEachLine(
    of file: InputFile, _ kind: Kind, _ body: (_ number: Int, MetricsLine) throws -> Void
  ) throws {
    try MetricsLine.read(file) { number, _, line in
      if line.isStep == (kind == .steps) { try body(number, line) }
    }
  }

  private static func row(_ fields: [String]) -> String { fields.map(CSVTable.field).joined(separator: ",") + "\r\n" }
}
