import Tensors

/// One key of the configuration: which values it takes, and what it means.
///
/// Its default is the schema's (`Configuration()`), its order that of declaration; all else about a key is said here and
/// nowhere else: validation, `lineup config` and docs/configuration.md read the same table (`ConfigurationSection.all`).
package struct ConfigurationKey: Sendable {
  /// Dotted, as `--set` takes it.
  package let path: String
  package let type: String
  /// What a value must be, as it goes on after "must be"; nil where the type says it all.
  package let range: String?
  /// A sentence or more, with units.
  package let meaning: String
  /// The words of a choice, or of a list of them.
  package let words: [String]
  /// The value in a configuration, as an error shows it, where it is out of range; nil where it is allowed.
  package let outOfRange: @Sendable (Configuration) -> String?
  /// Whether a value may be a word with options, `{se: {reduction: 8}}`, which belong to it.
  package var isPart = false

  /// Every key, in the order of declaration.
  package static var all: [ConfigurationKey] { ConfigurationSection.all.flatMap(\.keys) }

  /// Whether the key at `path` takes a part with options.
  static func isPart(_ path: String) -> Bool { parts.contains(path) }
  private static let parts = Set(all.filter(\.isPart).map(\.path))
}

/// The keys that stand together in the file.
package struct ConfigurationSection: Sendable {
  /// Empty for the keys that stand in no section.
  package let name: String
  package let meaning: String
  package let keys: [ConfigurationKey]

  init(_ name: String, _ meaning: String, _ keys: [ConfigurationKey]) {
    (self.name, self.meaning, self.keys) = (name, meaning, keys)
  }

  /// Every name before a dot, such as `losses` and `losses.triplet`.
  package static var names: [String] {
    var names: [String] = []
    for key in ConfigurationKey.all {
      let parts = key.path.split(separator: ".").dropLast()
      for count in parts.indices {
        let name = parts[...count].joined(separator: ".")
        if !names.contains(name) { names.append(name) }
      }
    }
    return names
  }
}

// MARK: - Kinds of keys

extension ConfigurationKey {
  typealias Place<Value> = KeyPath<Configuration, Value> & Sendable

  /// Any rule: `allows` has the value and the configuration it stands in.
  static func checked<Value>(
    _ path: String, _ place: Place<Value>, type: String, _ range: String, words: [String] = [], _ meaning: String,
    allows: @escaping @Sendable (Value, Configuration) -> Bool
  ) -> ConfigurationKey {
    ConfigurationKey(path: path, type: type, range: range, meaning: meaning, words: words) { configuration in
      let value = configuration[keyPath: place]
      return allows(value, configuration) ? nil : "\(value)"
    }
  }

  static func integer(
    _ path: String, _ place: Place<Int>, _ range: ClosedRange<Int>, _ meaning: String
  ) -> ConfigurationKey {
    checked(path, place, type: "integer", "from \(range.lowerBound) to \(range.upperBound)", meaning) { value, _ in
      range.contains(value)
    }
  }

  static func number(
    _ path: String, _ place: Place<Double>, _ range: ClosedRange<Double>, _ meaning: String
  ) -> ConfigurationKey {
    let text = "from \(plain(range.lowerBound)) to \(plain(range.upperBound))"
    return checked(path, place, type: "number", text, meaning) { value, _ in range.contains(value) }
  }

  static func number(
    _ path: String, _ place: Place<Double>, above least: Double, atMost most: Double, _ meaning: String
  ) -> ConfigurationKey {
    checked(path, place, type: "number", "above \(plain(least)) and at most \(plain(most))", meaning) { value, _ in
      value > least && value <= most
    }
  }

  static func flag(_ path: String, _ meaning: String) -> ConfigurationKey {
    ConfigurationKey(path: path, type: "true or false", range: nil, meaning: meaning, words: []) { _ in nil }
  }

  static func choice<Word: Choice>(_ path: String, _: Word.Type, _ meaning: String) -> ConfigurationKey {
    let words = Word.allCases.map(\.rawValue)
    let type = "one of \(words.joined(separator: ", "))"
    return ConfigurationKey(path: path, type: type, range: nil, meaning: meaning, words: words) { _ in nil }
  }

  /// A part with its options.
  static func part<Part: PartChoice>(_ path: String, _: Part.Type, _ meaning: String) -> ConfigurationKey {
    ConfigurationKey(
      path: path, type: "one of \(Part.words)", range: nil, meaning: meaning, words: Part.Kind.allCases.map(\.rawValue),
      outOfRange: { _ in nil }, isPart: true)
  }

  /// A list of words, at least one, none of them twice.
  static func choices<Word: Choice>(_ path: String, _ place: Place<[Word]>, _ meaning: String) -> ConfigurationKey {
    let words = Word.allCases.map(\.rawValue)
    let range = "a list of one or more of \(words.joined(separator: ", ")), each once"
    return ConfigurationKey(path: path, type: "list of words", range: range, meaning: meaning, words: words) {
      let chosen = $0[keyPath: place].map(\.rawValue)
      return !chosen.isEmpty && Set(chosen).count == chosen.count ? nil : "[\(chosen.joined(separator: ", "))]"
    }
  }

  /// A number as people write it: 4, not 4.0.
  private static func plain(_ number: Double) -> String { Int(exactly: number).map { "\($0)" } ?? "\(number)" }
}
