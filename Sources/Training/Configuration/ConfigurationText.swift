import Foundation
import Storage
import Tensors
import Yams

/// YAML from users, made safe before it is composed: a node costs memory wherever an alias repeats it, and the composer
/// calls itself for every level.
enum ConfigurationText {
  /// Far more than a configuration with all keys has of each.
  private enum Most {
    static let bytes = 1 << 20, aliases = 8, brackets = 256, indentation = 128
    static let levels = 64, nodes = 10_000, scalar = 4096
  }

  /// The tree in a file.
  static func read(_ file: String) throws -> Node {
    let text: String, source = Printable.line(file)
    do {
      text = try InputFile.text(file, limit: Most.bytes)
    } catch {
      guard FileManager.default.fileExists(atPath: file) else {
        throw Failure.usage(source, "no such configuration file")
      }
      throw Failure.usage(Printable.line(error.message))
    }
    return try compose(text, source: source)
  }

  /// The tree that `text` stands for; null where it is empty.
  ///
  /// - Parameter source: where it comes from, as errors begin.
  static func compose(_ text: String, source: String) throws -> Node {
    if let excess = excess(text) { throw Failure.usage(source, "\(excess)") }
    let node: Node
    do {
      node = try Yams.compose(yaml: text) ?? Node("null", .implicit, .plain)
    } catch let error as YamlError {
      throw Failure.usage(source, "\(explanation(error))")
    }
    var budget = Most.nodes
    if let excess = excess(node, level: 0, &budget) { throw Failure.usage(source, "\(excess)") }
    return node
  }

  // MARK: - Before composing

  /// What `text` has too much of; nil where it can be composed.
  ///
  /// It is not parsed, so that no trick with quotes or comments can hide anything: what looks like an alias or a bracket
  /// counts wherever it stands. A block opens only among the spaces, dashes, question marks and colons that a line begins
  /// with, so their number bounds the levels of blocks.
  private static func excess(_ text: String) -> String? {
    var aliases = 0, brackets = 0, indentation = 0
    var last = UInt8(ascii: "\n"), beforeLast = last, atStart = true
    for byte in text.utf8 {
      if last == UInt8(ascii: "*") && opensAlias(after: beforeLast) && isName(byte) { aliases += 1 }
      switch byte {
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"): (indentation, atStart) = (0, true)
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"):
        if atStart { indentation += 1 }
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        brackets += 1
        atStart = false
      // Other line ends, which libyaml takes too, are beyond ASCII.
      case 0x80...: (indentation, atStart) = (0, true)
      default: atStart = false
      }
      if aliases > Most.aliases { return "more than \(Most.aliases) aliases (*name), as no configuration needs" }
      if brackets > Most.brackets { return "more than \(Most.brackets) opening brackets, as no configuration needs" }
      if indentation > Most.indentation { return "a line that is indented by more than \(Most.indentation)" }
      (beforeLast, last) = (last, byte)
    }
    return nil
  }

  private static func opensAlias(after byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "-"),
      UInt8(ascii: "?"):
      true
    // White space, and the ends of YAML's other line ends (U+0085, U+2028, U+2029) and of a byte order mark.
    default: byte <= 0x20 || byte >= 0x80
    }
  }

  /// What libyaml takes as the first character of an alias's name.
  private static func isName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  // MARK: - After composing

  /// What the tree, aliases written out, has too much of. Looks at no more nodes than `budget` has left.
  private static func excess(_ node: Node, level: Int, _ budget: inout Int) -> String? {
    budget -= 1
    if budget < 0 { return "more than \(Most.nodes) values, as no configuration has" }
    if level > Most.levels { return "more than \(Most.levels) levels of lists and sections in one another" }
    switch node {
    case .scalar(let scalar):
      let count = scalar.string.utf8.count
      return count > Most.scalar ? "a value of \(count) bytes, more than \(Most.scalar)" : nil
    case .sequence(let items):
      for item in items {
        if let excess = excess(item, level: level + 1, &budget) { return excess }
      }
    case .mapping(let pairs):
      for (key, value) in pairs {
        if let excess = excess(key, level: level + 1, &budget) ?? excess(value, level: level + 1, &budget) {
          return excess
        }
      }
    case .alias: break
    }
    return nil
  }

  private static func explanation(_ error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return "line \(mark.line), column \(mark.column): \(problem)"
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = Printable.line(duplicates.sorted().joined(separator: ", "), limit: 80)
      return "\(keys) occurs twice in the section at line \(context.mark.line)"
    case .reader(let problem, _, _, _):
      return problem
    default:
      let line = String(describing: error).split(separator: "\n").first.map(String.init) ?? "not YAML"
      return Printable.line(line, limit: 200)
    }
  }
}
