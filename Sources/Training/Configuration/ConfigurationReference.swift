import Tensors

/// The table of keys, as text: what `lineup config` prints, and docs/configuration.md.
package struct ConfigurationReference {
  /// By dotted key, as YAML writes them.
  private let defaults: [String: String], values: [String: String]
  /// Whether values stand beside the defaults.
  private let isResolved: Bool

  /// - Parameter resolved: what a file and settings come to; nil shows the defaults alone.
  package init(_ resolved: Configuration? = nil) throws {
    func table(_ configuration: Configuration) throws -> [String: String] {
      Dictionary(uniqueKeysWithValues: try configuration.values().map { ($0.key, $0.value) })
    }
    defaults = try table(Configuration())
    values = try resolved.map(table) ?? defaults
    isResolved = resolved != nil
  }

  // MARK: - For a terminal

  /// All keys; those of the section `name`; or the key `name` in full.
  /// - Throws: `Failure.usage` with the nearest name where there is no such key or section.
  package func text(_ name: String? = nil) throws -> String {
    guard let name else {
      return ConfigurationSection.all.map { list($0, $0.keys) }.joined(separator: "\n")
    }
    if let key = ConfigurationKey.all.first(where: { $0.path == name }) { return full(key) }
    for section in ConfigurationSection.all {
      let keys = section.keys.filter { $0.path.hasPrefix(name + ".") }
      if !keys.isEmpty { return list(section, keys) }
    }
    throw Failure.unknownKey(name)
  }

  private func list(_ section: ConfigurationSection, _ keys: [ConfigurationKey]) -> String {
    let title = section.name.isEmpty ? section.meaning : "\(section.name): \(section.meaning)"
    return wrapped(title, indentation: 0)
      + keys.map { key in
        let setting = "  \(key.path) = \(value(key))"
        let gap = String(repeating: " ", count: max(3, (isResolved ? 52 : 42) - setting.count))
        return "\(setting)\(gap)\(allowed(key))\n" + wrapped(key.meaning, indentation: 6)
      }.joined()
  }

  private func full(_ key: ConfigurationKey) -> String {
    var lines = "\(key.path)\n" + wrapped(key.meaning, indentation: 2)
    lines += "  type      \(key.type)\n"
    if let range = key.range { lines += "  range     \(range)\n" }
    lines += "  default   \(defaults[key.path] ?? "")\n"
    if isResolved { lines += "  value     \(shown(values[key.path]))\n" }
    return lines
  }

  private func value(_ key: ConfigurationKey) -> String {
    let usual = defaults[key.path] ?? "", value = shown(values[key.path])
    if !isResolved { return value }
    return value == usual ? "\(value) (default)" : "\(value) (default \(usual))"
  }

  private func allowed(_ key: ConfigurationKey) -> String {
    guard let range = key.range else { return key.type }
    // A range that begins with its noun says the type too.
    return range.hasPrefix("a ") || range.hasPrefix("an ") || range.hasPrefix("the ") ? range : "\(key.type), \(range)"
  }

  private func shown(_ value: String?) -> String { Printable.line(value ?? "", limit: 200) }

  /// Lines of at most 100 characters.
  private func wrapped(_ text: String, indentation: Int) -> String {
    let margin = String(repeating: " ", count: indentation)
    var lines = "", line = margin
    for word in text.split(separator: " ") {
      if line.count + 1 + word.count > 100, line.count > indentation {
        lines += line + "\n"
        line = margin
      }
      line += (line.count > indentation ? " " : "") + word
    }
    return lines + line + "\n"
  }

  // MARK: - For docs/configuration.md

  package static func markdown() throws -> String {
    let reference = try ConfigurationReference()
    let sections = ConfigurationSection.all.map { section in
      let rows = section.keys.map { key in
        let usual = reference.defaults[key.path] ?? ""
        return "| `\(key.path)` | \(key.type) | `\(usual)` | \(key.range ?? "") | \(key.meaning) |\n"
      }
      return "## \(section.name.isEmpty ? "Without a section" : section.name)\n\n\(section.meaning)\n\n"
        + "| key | type | default | range | meaning |\n|---|---|---|---|---|\n" + rows.joined()
    }
    return introduction + "\n" + sections.joined(separator: "\n") + "\n" + (try PartReference.markdown())
  }

  private static var introduction: String {
    """
    # Configuration

    Every key with its type, default, range and meaning. This page is written by `lineup config --markdown`; `lineup config`
    prints the same in a terminal, `lineup config KEY` one key or section, and with `--config FILE` and `--set key=value` the
    values that they come to beside the defaults. `lineup config --yaml` prints the resolved configuration as a run writes it to
    `RUN/config.yaml`.

    A file has any part of the keys, sections as YAML mappings; `--set key=value` goes over it, with a dotted key and the value
    in YAML: a number, a word, a list `[1, 2]`, `null`. Later settings win. A file has at most 1 MiB, 64 levels and 8 aliases;
    numbers of base 60 (`1:30`) and with leading zeros (`010`) are refused.

    """
  }
}

extension Failure {
  /// `path` is neither a key nor a section. The nearest one is named, or else what the section has.
  static func unknownKey(_ path: String) -> Failure {
    let line = "unknown key \(Printable.line(path, limit: 80))", keys = ConfigurationKey.all.map(\.path)
    // The section that a key stands in is no news.
    let sections = ConfigurationSection.names.filter { !path.hasPrefix($0 + ".") }
    if let known = Spelling.nearest(key: path, among: sections + keys) {
      return .usage("\(line); did you mean \(known)?")
    }
    guard let section = ConfigurationSection.names.last(where: { path.hasPrefix($0 + ".") }) else {
      return .usage(line)
    }
    let names = keys.filter { $0.hasPrefix(section + ".") }.map { $0.dropFirst(section.count + 1) }
    return .usage("\(line); \(section) has \(names.joined(separator: ", "))")
  }
}
