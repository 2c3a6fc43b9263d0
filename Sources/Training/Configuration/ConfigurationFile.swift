import Foundation
import Tensors
import Yams

/// Reading and writing a `Configuration` as YAML, and single settings `key=value`.
///
/// The default configuration, as a tree of nodes, is the schema. A file or a setting is a smaller tree: each of
/// its keys must be in the schema, its values replace those of the tree so far, and the whole is decoded anew
/// after each, so that a wrong type is reported with the file or setting it came from.
extension Configuration {
  /// The defaults (or `base`), then `file`, then `settings` in their order; later ones win. Validated.
  ///
  /// - Parameters:
  ///   - file: path of a YAML file with any part of the keys.
  ///   - settings: `dotted.key=value`, the value in YAML: a number, a word, a list `[1, 2]`, `null`.
  /// - Throws: `Failure.usage`, one line that names the file or setting, the dotted key and what is expected.
  package static func resolve(
    file: String? = nil, settings: [String] = [], base: Configuration = Configuration()
  ) throws -> Configuration {
    var configuration = base
    if let file {
      guard let bytes = FileManager.default.contents(atPath: file) else {
        let isThere = FileManager.default.fileExists(atPath: file)
        throw Failure.usage("\(file): \(isThere ? "cannot be read" : "no such configuration file")")
      }
      guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure.usage("\(file): not UTF-8 text") }
      configuration = try configuration.overlaid(with: compose(text, source: file), source: file)
    }
    for setting in settings {
      let source = "--set \(setting)"
      guard let equals = setting.firstIndex(of: "=") else {
        throw Failure.usage("\(source): expected key=value, as in --set schedule.epochs=60")
      }
      let parts = setting[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard parts.allSatisfy({ !$0.isEmpty }) else {
        throw Failure.usage("\(source): expected a dotted key before =, as in --set schedule.epochs=60")
      }
      let value = try compose(String(setting[setting.index(after: equals)...]), source: source)
      let tree = parts.reversed().reduce(value) { Node([(Node($1), $0)]) }
      configuration = try configuration.overlaid(with: tree, source: source)
    }
    try configuration.validate()
    return configuration
  }

  /// Every key with its value, in the order of declaration; `resolve` reads exactly the same configuration back.
  package func yaml() throws -> String {
    do {
      return try Yams.serialize(node: tree(), width: -1, allowUnicode: true)
    } catch let error as YamlError {
      throw Failure.internal("cannot write the configuration as YAML: \(error)")
    }
  }

  /// The keys whose values differ from `other`'s, in the order of declaration, values as YAML writes them.
  package func differences(from other: Configuration) throws -> [(key: String, old: String, new: String)] {
    zip(leaves(of: try other.tree()), leaves(of: try tree())).compactMap { before, after in
      before.value == after.value ? nil : (after.key, before.value, after.value)
    }
  }

  // MARK: - Trees

  /// This configuration as nodes: its own order of keys, its numbers with all their digits.
  ///
  /// `YAMLEncoder` keeps the order of declaration but only 15 digits of some numbers, `JSONEncoder` all the digits
  /// but no order; JSON is YAML, so the values of the one are arranged like those of the other.
  private func tree() throws -> Node {
    do {
      let json = JSONEncoder()
      json.outputFormatting = .withoutEscapingSlashes
      guard let values = try Yams.compose(yaml: String(decoding: json.encode(self), as: UTF8.self)) else {
        throw Failure.internal("the configuration encodes to nothing")
      }
      return arranged(values, like: try Self.schema())
    } catch let error as EncodingError {
      throw Failure.usage("the configuration has a number that is not finite: \(error)")
    }
  }

  /// The defaults as nodes whose tags tell integers from other numbers (1e+0).
  private static func schema() throws -> Node {
    guard let node = try Yams.compose(yaml: YAMLEncoder().encode(Configuration())) else {
      throw Failure.internal("the default configuration encodes to nothing")
    }
    return node
  }

  private func arranged(_ value: Node, like order: Node) -> Node {
    switch value {
    case .mapping:
      return Node(
        (order.mapping ?? [:]).map { key, child in
          (Node(key.string ?? ""), arranged(value[key.string ?? ""] ?? child, like: child))
        })
    case .sequence(let items):
      return Node(items.map { arranged($0, like: $0) }, .implicit, .flow)
    case .scalar(let scalar):
      // A quoted scalar is a string, which decides for itself whether it must stay quoted.
      if scalar.style == .doubleQuoted { return .scalar(scalar.string.represented()) }
      return Node(scalar.string, .implicit, .plain)
    case .alias:
      return value
    }
  }

  private func leaves(of node: Node, at path: String = "") -> [(key: String, value: String)] {
    guard let mapping = node.mapping else { return [(path, inline(node))] }
    return mapping.flatMap { key, value in leaves(of: value, at: joined(path, key.string ?? "")) }
  }

  // MARK: - Overlaying

  private func overlaid(with user: Node, source: String) throws -> Configuration {
    let schema = try Self.schema()
    let merged = try merge(user, into: tree(), schema: schema, path: "", source: source)
    do {
      return try YAMLDecoder().decode(Configuration.self, from: merged)
    } catch let error as DecodingError {
      throw Failure.usage("\(source): \(explain(error, merged: merged, schema: schema))")
    }
  }

  /// `base` with the values of `user`; both `base` and `schema` have every key.
  private func merge(_ user: Node, into base: Node, schema: Node, path: String, source: String) throws -> Node {
    guard let section = schema.mapping, var result = base.mapping else {
      if user.mapping?.isEmpty == false { throw unknown(path, user, source: source) }
      if isNull(user) && !isNull(schema) {
        throw Failure.usage("\(source): \(path) is null; expected \(expectation(of: schema))")
      }
      return user
    }
    if isNull(user) { return base }  // a section with nothing in it
    guard let given = user.mapping else {
      let keys = section.keys.compactMap(\.string).joined(separator: ", ")
      let name = path.isEmpty ? "the configuration" : path
      throw Failure.usage("\(source): \(name) is \(inline(user)); expected a section with keys among \(keys)")
    }
    for (key, value) in given {
      let name = key.string ?? inline(key)
      guard let known = section[name], let current = result[name] else {
        throw unknown(joined(path, name), value, source: source)
      }
      result[name] = try merge(value, into: current, schema: known, path: joined(path, name), source: source)
    }
    return .mapping(result)
  }

  private static func compose(_ text: String, source: String) throws -> Node {
    do {
      return try Yams.compose(yaml: text) ?? Node("null", .implicit, .plain)
    } catch let error as YamlError {
      switch error {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        throw Failure.usage("\(source): line \(mark.line), column \(mark.column): \(problem)")
      case .duplicatedKeysInMapping(let duplicates, let context):
        let keys = duplicates.sorted().joined(separator: ", ")
        throw Failure.usage("\(source): \(keys) occurs twice in the section at line \(context.mark.line)")
      default:
        throw Failure.usage("\(source): \(String(describing: error).split(separator: "\n").first ?? "not YAML")")
      }
    }
  }

  // MARK: - Messages

  /// `path` is not in the schema. Where all of `value` stands under one key, that key is named.
  private func unknown(_ path: String, _ value: Node, source: String) -> Failure {
    if let pairs = value.mapping, pairs.count == 1, let (key, child) = pairs.first.map({ ($0.key, $0.value) }) {
      return unknown(joined(path, key.string ?? inline(key)), child, source: source)
    }
    let keys = (try? Self.schema()).map { sections(of: $0) + leaves(of: $0).map(\.key) } ?? []
    let last = path.split(separator: ".").last.map(String.init) ?? path
    // The whole key mistyped, or the right name in the wrong section.
    let nearest = keys.map { known in
      let name = known.split(separator: ".").last.map(String.init) ?? known
      return (known, min(editDistance(path, known), editDistance(last, name) + 1))
    }.min { $0.1 < $1.1 }
    if let (known, distance) = nearest, distance <= 1 + path.count / 4 {
      return Failure.usage("\(source): unknown key \(path); did you mean \(known)?")
    }
    return Failure.usage("\(source): unknown key \(path)")
  }

  private func sections(of node: Node, at path: String = "") -> [String] {
    (node.mapping ?? [:]).flatMap { key, value -> [String] in
      guard value.mapping != nil else { return [] }
      let name = joined(path, key.string ?? "")
      return [name] + sections(of: value, at: name)
    }
  }

  private func explain(_ error: DecodingError, merged: Node, schema: Node) -> String {
    let context: DecodingError.Context
    var expected: String?
    switch error {
    case .dataCorrupted(let found):
      context = found
      expected = found.debugDescription  // written by `Choice`
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found):
      context = found
    @unknown default:
      return String(describing: error)
    }
    var value = merged, known = schema, name = ""
    for key in context.codingPath {
      if let index = key.intValue, let items = value.sequence, items.indices.contains(index) {
        value = items[index]
        known = known.sequence?.first ?? known
        name += "[\(index)]"
      } else if let child = value[key.stringValue], let childSchema = known[key.stringValue] {
        (value, known, name) = (child, childSchema, joined(name, key.stringValue))
      }
    }
    return "\(name) is \(inline(value)); expected \(expected ?? expectation(of: known))"
  }

  private func expectation(of schema: Node) -> String {
    if let items = schema.sequence { return "a list such as \(inline(.sequence(items)))" }
    switch schema.tag {
    case Tag(.int): return "an integer"
    case Tag(.float): return "a number"
    case Tag(.bool): return "true or false"
    default: return isNull(schema) ? "text or null" : "text"
    }
  }

  /// A node as it would stand in a flow sequence.
  private func inline(_ node: Node) -> String {
    switch node {
    case .scalar(let scalar):
      switch scalar.style {
      case .singleQuoted: return "'\(scalar.string)'"
      case .doubleQuoted: return "\"\(scalar.string)\""
      default: return scalar.string.isEmpty ? "null" : scalar.string
      }
    case .sequence(let items): return "[\(items.map(inline).joined(separator: ", "))]"
    case .mapping(let pairs): return "{\(pairs.map { "\(inline($0)): \(inline($1))" }.joined(separator: ", "))}"
    case .alias(let alias): return "*\(alias.anchor.rawValue)"
    }
  }

  private func isNull(_ node: Node) -> Bool { node.scalar != nil && node.tag == Tag(.null) }

  private func joined(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}

/// Levenshtein's: the fewest insertions, deletions and replacements of characters.
private func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b)
  var row = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, y) in b.enumerated() {
      let replaced = diagonal + (x == y ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
