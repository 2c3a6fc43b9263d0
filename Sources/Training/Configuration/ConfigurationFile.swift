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
  ///   - settings: `dotted.key=value`, the value in YAML: a number, a word, a list `[1, 2]` or `1,2`, `null`.
  /// - Throws: `Failure.usage`, one line that names the file or setting, the dotted key and what is expected.
  package static func resolve(
    file: String? = nil, settings: [String] = [], base: Configuration = Configuration()
  ) throws -> Configuration {
    var configuration = base
    if let file {
      configuration = try configuration.overlaid(with: ConfigurationText.read(file), source: Printable.line(file))
    }
    for text in settings {
      let setting = try Setting(text), source = Setting.source(text)
      let value = try ConfigurationText.compose(try setting.listed(in: schema()), source: source)
      let tree = setting.key.reversed().reduce(value) { Node([(Node($1), $0)]) }
      configuration = try configuration.overlaid(with: tree, source: source)
    }
    try configuration.validate()
    return configuration
  }

  /// The one that a run or a checkpoint has saved.
  /// - Throws: `Failure.data` with the file, the key and what is expected: nobody has typed it.
  package static func saved(_ path: String) throws -> Configuration {
    do {
      return try resolve(file: path)
    } catch let failure as Failure {
      throw Failure(.data, path: failure.path, failure.reason)
    }
  }

  /// One `--set`, taken apart.
  package struct Setting {
    /// The parts of the dotted key.
    let key: [String]
    let value: String

    /// - Throws: `Failure.usage` where it is not `dotted.key=value`.
    package init(_ text: String) throws {
      guard let equals = text.firstIndex(of: "=") else {
        throw Failure.usage(Self.source(text), "expected key=value, as in --set schedule.epochs=60")
      }
      key = text[..<equals].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      value = String(text[text.index(after: equals)...])
      // No key has four parts, and trees are walked by functions that call themselves.
      guard key.count <= 8, key.allSatisfy({ !$0.isEmpty }) else {
        throw Failure.usage(Self.source(text), "expected a dotted key before =, as in --set schedule.epochs=60")
      }
    }

    /// The value as YAML: `1,2` and `1` are lists where the key is one.
    fileprivate func listed(in schema: Node) -> String {
      let known = key.reduce(schema as Node?) { $0?[$1] }, text = value.trimmingCharacters(in: .whitespaces)
      let isOpen = known?.sequence != nil && !["", "~", "null"].contains(text) && !"[{".contains(text.prefix(1))
      return isOpen ? "[\(text)]" : value
    }

    /// How errors about it begin.
    static func source(_ text: String) -> String { "--set \(Printable.line(text, limit: 80))" }
  }

  /// Every key with its value, in the order of declaration; `resolve` reads exactly the same configuration back.
  package func yaml() throws -> String {
    do {
      return try Yams.serialize(node: tree(), width: -1, allowUnicode: true)
    } catch let error as YamlError {
      throw Failure.internal("cannot write the configuration as YAML: \(error)")
    }
  }

  /// Every key with its value as YAML writes it, in the order of declaration.
  package func values() throws -> [(key: String, value: String)] { leaves(of: try tree()) }

  /// The keys whose values differ from `other`'s, in the order of declaration, values as YAML writes them.
  package func differences(from other: Configuration) throws -> [(key: String, old: String, new: String)] {
    zip(try other.values(), try values()).compactMap { before, after in
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
      // Options of parts are in no schema, so all is arranged like itself as the encoder that keeps the order has it.
      return arranged(values, like: try Yams.compose(yaml: YAMLEncoder().encode(self)) ?? values)
    } catch is EncodingError {
      try validate()  // names the number that is not finite
      throw Failure.internal("the configuration cannot be encoded")
    }
  }

  /// The defaults as nodes whose tags tell integers from other numbers (1e+0).
  private static func schema() throws -> Node { try defaults.get() }

  /// Made once: it takes milliseconds. Nothing changes it, though its type would allow that.
  nonisolated(unsafe) private static let defaults = Result {
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
      let known = order.sequence ?? items
      return Node(
        items.enumerated().map { arranged($1, like: known.indices.contains($0) ? known[$0] : $1) }, .implicit, .flow)
    case .scalar(let scalar):
      // A quoted scalar is a string, which decides for itself whether it must stay quoted.
      if scalar.style == .doubleQuoted { return .scalar(scalar.string.represented()) }
      return Node(scalar.string, .implicit, .plain)
    case .alias:
      return value
    }
  }

  private func leaves(of node: Node, at path: String = "") -> [(key: String, value: String)] {
    guard let mapping = node.mapping, !ConfigurationKey.isPart(path) else { return [(path, inline(node))] }
    return mapping.flatMap { key, value in leaves(of: value, at: joined(path, key.string ?? "")) }
  }

  // MARK: - Overlaying

  private func overlaid(with user: Node, source: String) throws -> Configuration {
    let schema = try Self.schema()
    let merged = try merge(user, into: tree(), schema: schema, path: "", source: source)
    do {
      return try YAMLDecoder().decode(Configuration.self, from: merged)
    } catch let error as DecodingError {
      throw Failure.usage(source, "\(explain(error, merged: merged, schema: schema))")
    }
  }

  /// `base` with the values of `user`; both `base` and `schema` have every key.
  private func merge(_ user: Node, into base: Node, schema: Node, path: String, source: String) throws -> Node {
    guard !ConfigurationKey.isPart(path), let section = schema.mapping, var result = base.mapping else {
      if user.mapping?.isEmpty == false && !ConfigurationKey.isPart(path) && schema.sequence == nil {
        throw unknown(path, user, source: source)
      }
      if isNull(user) && !isNull(schema) || hasNumber(user, where: schema, isInBase60) {
        let part = ConfigurationKey.isPart(path) ? ConfigurationKey.all.first { $0.path == path } : nil
        throw Failure.usage(source, "\(path) is \(shown(user)); expected \(part?.type ?? expectation(of: schema))")
      }
      if hasNumber(user, where: schema, hasLeadingZero) {
        throw Failure.usage(source, "\(path) is \(shown(user)); expected no leading zero, which stands for base 8")
      }
      return user
    }
    if isNull(user) { return base }  // a section with nothing in it
    guard let given = user.mapping else {
      let keys = section.keys.compactMap(\.string).joined(separator: ", ")
      let name = path.isEmpty ? "the configuration" : path
      throw Failure.usage(source, "\(name) is \(shown(user)); expected a section with keys among \(keys)")
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

  /// Whether a number, or one of a list, is written so.
  private func hasNumber(_ user: Node, where schema: Node, _ isWritten: (String) -> Bool) -> Bool {
    switch user {
    case .scalar(let scalar):
      let isNumber = schema.tag == Tag(.int) || schema.tag == Tag(.float)
      return isNumber && scalar.style == .plain && isWritten(scalar.string)
    case .sequence(let items):
      guard let known = schema.sequence?.first else { return false }
      return items.contains { hasNumber($0, where: known, isWritten) }
    case .mapping, .alias: return false
    }
  }

  /// 1:30, as YAML 1.1 has it: the decoder's arithmetic for it overflows.
  private func isInBase60(_ text: String) -> Bool { text.contains(":") }

  /// 010, which YAML 1.1 reads as 8.
  private func hasLeadingZero(_ text: String) -> Bool {
    let digits = text.drop { $0 == "+" || $0 == "-" }
    return digits.first == "0" && digits.dropFirst().first.map { $0.isNumber || $0 == "_" } ?? false
  }

  // MARK: - Messages

  /// `path` is not in the schema. Where all of `value` stands under one key, that key is named.
  private func unknown(_ path: String, _ value: Node, source: String) -> Failure {
    if let pairs = value.mapping, pairs.count == 1, let (key, child) = pairs.first.map({ ($0.key, $0.value) }) {
      return unknown(joined(path, key.string ?? inline(key)), child, source: source)
    }
    // A known one is only unknown where a file has it in one piece.
    if ConfigurationKey.all.contains(where: { $0.path == path }) {
      let parts = path.split(separator: ".")
      let nested = parts.dropFirst().reversed().reduce(shown(value)) { "{\($1): \($0)}" }
      return Failure.usage(source, "\(path): in a file its parts are sections; write \(parts[0]): \(nested)")
    }
    return Failure.usage(source, "\(Failure.unknownKey(path).message)")
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
    // `name` is the path with the place in a list, if any.
    var value = merged, known = schema, path = "", name = ""
    for key in context.codingPath {
      if let index = key.intValue, let items = value.sequence, items.indices.contains(index) {
        value = items[index]
        known = known.sequence?.first ?? known
        name += "[\(index)]"
      } else if let child = value[key.stringValue], let childSchema = known[key.stringValue] {
        (value, known, path) = (child, childSchema, joined(path, key.stringValue))
        name = path
      } else if let child = value[key.stringValue] {
        // Within an item of a list.
        value = child
        name = joined(name, key.stringValue)
      }
    }
    let key = ConfigurationKey.all.first { $0.path == path }
    if let key, key.isPart, name == path, expected == nil { expected = key.type }
    let near = value.string.flatMap { Spelling.nearest(word: $0, among: key?.words ?? []) }
    let hint = near.map { "; did you mean \($0)?" } ?? ""
    // An integer that is none for the key's type is out of its range.
    let isWhole = name == path && value.tag == Tag(.int) && known.tag == Tag(.int)
    let range = isWhole ? key?.range.map { " \($0)" } ?? "" : ""
    return "\(name) is \(shown(value)); expected \(expected ?? expectation(of: known))\(range)\(hint)"
  }

  private func expectation(of schema: Node) -> String {
    if let items = schema.sequence { return items.isEmpty ? "a list" : "a list such as \(inline(.sequence(items)))" }
    switch schema.tag {
    case Tag(.int): return "an integer"
    case Tag(.float): return "a number"
    case Tag(.bool): return "true or false"
    default: return isNull(schema) ? "text or null" : "text"
    }
  }

  /// A node in a message.
  private func shown(_ node: Node) -> String { Printable.line(inline(node), limit: 80) }

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
