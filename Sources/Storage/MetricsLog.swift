import Foundation
import Tensors

/// One value of a line of `metrics.jsonl`.
package enum MetricValue: Sendable, Equatable {
  case integer(Int)
  /// Written with the fewest digits that read back to the same number; `null` where it is NaN or infinite.
  case number(Double)
  /// As `number`, with the digits a `Float` needs.
  case single(Float)
  case flag(Bool)
  case text(String)
  case null

  package var json: String {
    switch self {
    case .integer(let value): return String(value)
    case .number(let value): return value.isFinite ? value.description : "null"
    case .single(let value): return value.isFinite ? value.description : "null"
    case .flag(let value): return value ? "true" : "false"
    case .text(let value): return Self.quoted(value)
    case .null: return "null"
    }
  }

  package static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

/// `metrics.jsonl`: one JSON object a line, appended, keys in the order they are given.
///
/// A line reaches the system in one call as soon as it is appended, so a reader or a crash never sees half of one
/// but the last; opening the log again removes such a half. Lines carry the `step` they were written at.
package final class MetricsLog {
  private let file: OutputFile

  /// Opens the log at `path` for appending, making it where there is none.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package init(path: String) throws {
    if InputFile.size(path) != nil, case let content = try InputFile.read(path), let last = content.last,
      last != UInt8(ascii: "\n")
    {
      let whole = (content.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
      if Foundation.truncate(path, off_t(whole)) != 0 {
        throw Failure.system(.internal, path, errno)
      }
    }
    file = try OutputFile(path, flags: O_WRONLY | O_CREAT | O_APPEND)
  }

  package func append(_ fields: [(key: String, value: MetricValue)]) throws {
    let members = fields.map { "\(MetricValue.quoted($0.key)): \($0.value.json)" }
    try file.write("{\(members.joined(separator: ", "))}\n")
  }

  package func append(_ fields: KeyValuePairs<String, MetricValue>) throws {
    try append(fields.map { ($0.key, $0.value) })
  }

  /// Removes the lines of steps after `step`, those of training and of evaluation, for a run that goes on from there.
  /// The file is replaced in one go; a torn last line goes too. Nothing happens where there is no file.
  /// - Throws: `Failure.data` with the number of a line that is not a JSON object.
  package static func truncate(_ path: String, afterStep step: Int) throws {
    guard access(path, F_OK) == 0 else { return }
    let content = try InputFile.read(path)
    struct Line: Decodable { let step: Int? }
    var lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    lines.removeLast()  // nothing where the file ends in a newline, a torn line otherwise
    var kept: [ArraySlice<UInt8>] = []
    for (index, line) in lines.enumerated() where !line.isEmpty {
      guard let entry = try? JSONDecoder().decode(Line.self, from: Foundation.Data(line)) else {
        throw Failure.data(path, "line \(index + 1) is not a JSON object with a whole number as its step")
      }
      if entry.step ?? 0 <= step { kept.append(line) }
    }
    try AtomicFiles.write(to: path) { file in
      for line in kept {
        try line.withUnsafeBytes { try file.write($0) }
        try file.write("\n")
      }
    }
  }
}
