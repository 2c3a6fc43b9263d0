/// What a part of the network or of the loss can be told: its defaults, and beside the part itself a list that says each
/// option's name, range and meaning. Reading, writing, checking and the documentation follow from that list.
package protocol Options: Codable, Sendable, Equatable {
  /// The defaults.
  init()
  static var fields: [OptionField<Self>] { get }
}

/// One option of `Root`.
package struct OptionField<Root: Sendable>: Sendable {
  package let name: String
  package let type: String
  /// What a value must be, as it goes on after "must be"; nil where the type says it all.
  package let range: String?
  package let meaning: String
  /// The value where it is out of range.
  fileprivate let outOfRange: @Sendable (Root) -> String?
  fileprivate let read: @Sendable (inout Root, KeyedDecodingContainer<OptionKey>, OptionKey) throws -> Void
  fileprivate let write: @Sendable (Root, inout KeyedEncodingContainer<OptionKey>, OptionKey) throws -> Void

  /// Any value that can be coded, with a rule.
  package static func value<Value: Codable & Sendable>(
    _ name: String, _ place: WritableKeyPath<Root, Value> & Sendable, type: String, _ range: String? = nil,
    _ meaning: String, allows: @escaping @Sendable (Value) -> Bool = { _ in true }
  ) -> OptionField {
    OptionField(
      name: name, type: type, range: range, meaning: meaning,
      outOfRange: { allows($0[keyPath: place]) ? nil : "\($0[keyPath: place])" },
      read: { root, container, key in
        do {
          root[keyPath: place] = try container.decode(Value.self, forKey: key)
        } catch DecodingError.typeMismatch(_, let context)
          where context.codingPath.count == container.codingPath.count + 1
        {
          throw DecodingError.dataCorrupted(
            .init(
              codingPath: context.codingPath, debugDescription: [type, range].compactMap { $0 }.joined(separator: " ")))
        }
      },
      write: { try $1.encode($0[keyPath: place], forKey: $2) })
  }

  package static func number(
    _ name: String, _ place: WritableKeyPath<Root, Double> & Sendable, _ range: ClosedRange<Double>, _ meaning: String
  ) -> OptionField {
    let text = "from \(plain(range.lowerBound)) to \(plain(range.upperBound))"
    return value(name, place, type: "number", text, meaning) { range.contains($0) }
  }

  package static func integer(
    _ name: String, _ place: WritableKeyPath<Root, Int> & Sendable, _ range: ClosedRange<Int>, _ meaning: String
  ) -> OptionField {
    let text = "from \(range.lowerBound) to \(range.upperBound)"
    return value(name, place, type: "integer", text, meaning) { range.contains($0) }
  }

  package static func flag(_ name: String, _ place: WritableKeyPath<Root, Bool> & Sendable, _ meaning: String)
    -> OptionField
  {
    value(name, place, type: "true or false", nil, meaning)
  }

  /// One of a few words.
  package static func word<Word: RawRepresentable & CaseIterable & Sendable>(
    _ name: String, _ place: WritableKeyPath<Root, Word> & Sendable, _ meaning: String
  ) -> OptionField where Word.RawValue == String {
    let words = "one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))"
    return OptionField(
      name: name, type: words, range: nil, meaning: meaning, outOfRange: { _ in nil },
      read: { root, container, key in
        guard let text = try? container.decode(String.self, forKey: key), let word = Word(rawValue: text) else {
          throw DecodingError.dataCorrupted(
            .init(codingPath: container.codingPath + [key], debugDescription: words))
        }
        root[keyPath: place] = word
      }, write: { try $1.encode($0[keyPath: place].rawValue, forKey: $2) })
  }

  /// A list of words, each once.
  package static func words<Word: RawRepresentable & CaseIterable & Hashable & Sendable>(
    _ name: String, _ place: WritableKeyPath<Root, [Word]> & Sendable, _ range: String, _ meaning: String
  ) -> OptionField where Word.RawValue == String {
    let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
    return OptionField(
      name: name, type: "list of words", range: range, meaning: meaning,
      outOfRange: { Set($0[keyPath: place]).count == $0[keyPath: place].count ? nil : "\($0[keyPath: place])" },
      read: { root, container, key in
        func wrong(_ path: [any CodingKey], _ expected: String) -> DecodingError {
          .dataCorrupted(.init(codingPath: path, debugDescription: expected))
        }
        guard let texts = try? container.decode([String].self, forKey: key) else {
          throw wrong(container.codingPath + [key], "a list of words \(range)")
        }
        root[keyPath: place] = try texts.map { text in
          guard let word = Word(rawValue: text) else {
            throw wrong(container.codingPath + [key], "words among \(words)")
          }
          return word
        }
      }, write: { try $1.encode($0[keyPath: place].map(\.rawValue), forKey: $2) })
  }

  /// A number as people write it: 4, not 4.0.
  private static func plain(_ number: Double) -> String { Int(exactly: number).map { "\($0)" } ?? "\(number)" }
}

/// The name of an option, or of a part.
package struct OptionKey: CodingKey {
  package let stringValue: String
  package var intValue: Int? { nil }

  package init(_ name: String) { stringValue = name }
  package init(stringValue: String) { self.init(stringValue) }
  package init?(intValue: Int) { nil }
}

extension Options {
  /// Options that are left out keep their defaults; unknown ones are refused.
  package init(from decoder: any Decoder) throws {
    self.init()
    let names = Self.fields.map(\.name).joined(separator: ", ")
    guard let container = try? decoder.container(keyedBy: OptionKey.self) else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: names.isEmpty ? "no option here" : "{option: value} with options among \(names)"))
    }
    try container.requireKeys(Self.fields.map(\.name))
    for field in Self.fields {
      let key = OptionKey(field.name)
      if container.contains(key) { try field.read(&self, container, key) }
      if let value = field.outOfRange(self) {
        throw DecodingError.dataCorrupted(
          .init(
            codingPath: container.codingPath + (container.contains(key) ? [key] : []),
            debugDescription: container.contains(key)
              ? [field.type, field.range].compactMap { $0 }.joined(separator: " ")
              : "\(field.name) \(field.range ?? field.type), not \(value)"))
      }
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: OptionKey.self)
    for field in Self.fields { try field.write(self, &container, OptionKey(field.name)) }
  }

  package func equals(_ other: any Options) -> Bool { other as? Self == self }
}

extension KeyedDecodingContainer where Key == OptionKey {
  /// No others than these; with the nearest one or all of them.
  package func requireKeys(_ names: [String]) throws {
    for key in allKeys where !names.contains(key.stringValue) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: codingPath + [key],
          debugDescription: names.isEmpty
            ? "no option here" : "an option among \(names.joined(separator: ", ")), this one is unknown"))
    }
  }
}

/// A part and its options in a file: a word, `bnneck`, or a word with options, `{bnneck: {bias: true}}`.
package protocol PartChoice: Codable, Sendable, Equatable {
  associatedtype Kind: RawRepresentable & CaseIterable & Sendable where Kind.RawValue == String
  var part: (kind: Kind, options: any Options) { get }
  /// A part of this kind, with the options that `read` reads for its type.
  init(_ kind: Kind, _ read: OptionReader) throws
}

/// Of a part that cannot be told anything.
package struct NoOptions: Options {
  package init() {}

  package static var fields: [OptionField<Self>] { [] }
}

/// Reads the options of a part, or gives their defaults.
package struct OptionReader {
  fileprivate let container: KeyedDecodingContainer<OptionKey>?, key: OptionKey

  package func callAsFunction<T: Options>(_: T.Type) throws -> T {
    try container?.decode(T.self, forKey: key) ?? T()
  }
}

extension PartChoice {
  package init(from decoder: any Decoder) throws {
    let names = Kind.allCases.map(\.rawValue)
    func kind(_ name: String, at path: [any CodingKey]) throws -> Kind {
      guard let kind = Kind(rawValue: name) else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: path, debugDescription: "one of \(names.joined(separator: ", "))"))
      }
      return kind
    }
    if let word = try? decoder.singleValueContainer().decode(String.self) {
      try self.init(
        try kind(word, at: decoder.codingPath), OptionReader(container: nil, key: OptionKey(word)))
      return
    }
    let container = try decoder.container(keyedBy: OptionKey.self)
    guard container.allKeys.count == 1, let key = container.allKeys.first else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "one of \(names.joined(separator: ", "))"))
    }
    try self.init(
      try kind(key.stringValue, at: container.codingPath + [key]), OptionReader(container: container, key: key))
  }

  package var kind: Kind { part.kind }
  package var options: any Options { part.options }

  /// The words of the kinds.
  package static var words: String { Kind.allCases.map(\.rawValue).joined(separator: ", ") }

  /// With the defaults.
  package init(_ kind: Kind) {
    do {
      try self.init(kind, OptionReader(container: nil, key: OptionKey(kind.rawValue)))
    } catch {
      preconditionFailure("defaults need no reading: \(error)")
    }
  }

  package func encode(to encoder: any Encoder) throws {
    func write<T: Options>(_ options: T) throws {
      if T.fields.isEmpty {
        var container = encoder.singleValueContainer()
        try container.encode(kind.rawValue)
      } else {
        var container = encoder.container(keyedBy: OptionKey.self)
        try container.encode(options, forKey: OptionKey(kind.rawValue))
      }
    }
    try write(options)
  }

  package static func == (a: Self, b: Self) -> Bool {
    a.kind.rawValue == b.kind.rawValue && a.options.equals(b.options)
  }
}
