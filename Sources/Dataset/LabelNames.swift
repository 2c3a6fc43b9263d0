import Tensors

/// What the numbers of identities and cameras stand for, where they were names.
package struct LabelNames: Codable, Sendable, Equatable {
  package var identities: [Int: String], cameras: [Int: String]

  package init(identities: [Int: String] = [:], cameras: [Int: String] = [:]) {
    (self.identities, self.cameras) = (identities, cameras)
  }

  package var isEmpty: Bool { identities.isEmpty && cameras.isEmpty }

  /// As people call it: by its name, or where it has none by its number.
  package func camera(_ number: Int) -> String { cameras[number] ?? "\(number)" }
  package func identity(_ number: Int) -> String { identities[number] ?? "\(number)" }

  /// The same as a table or a picture has room for it.
  package func shownCamera(_ number: Int) -> String { Self.shown(camera(number)) }
  package func shownIdentity(_ number: Int) -> String { Self.shown(identity(number)) }

  package static func shown(_ name: String) -> String { Printable.line(name, limit: 60) }
}
