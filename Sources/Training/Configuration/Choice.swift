/// One of a few words; anything else is refused with the list of them.
package protocol Choice: CaseIterable, RawRepresentable, Codable, Sendable where RawValue == String {}

extension Choice {
  package init(from decoder: any Decoder) throws {
    guard let word = try? decoder.singleValueContainer().decode(String.self), let value = Self(rawValue: word) else {
      let words = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "one of \(words)"))
    }
    self = value
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// An optional that is written as `null` instead of left out, so that its key is known like every other.
@propertyWrapper
package struct Nullable<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
  package var wrappedValue: Value?

  package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}
