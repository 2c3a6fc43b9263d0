import Tensors

/// What the numbers of identities and cameras stand for, where they were names.
package struct LabelNames: Codable, Sendable, Equatable {
  package var identities: [Int: String], cameras: [Int: String]

  package init(identities: [Int: String] = [:], cameras: [Int: String] = [:]) {
    (self.identities, self.cameras) = (identities, cameras)
  }

  package var isEmpty: Bool { identities.isEmpty && cameras.isEmpty }

  /// As people call it: by its name, or where it has none by its number.
  package func camera(_ number: Int) -> String { shown(cameras[number], number) }
  package func identity(_ number: Int) -> String { shown(identities[number], number) }

  private func shown(_ name: String?, _ number: Int) -> String {
    name.map { Printable.line($0, limit: 60) } ?? "\(number)"
  }
}
