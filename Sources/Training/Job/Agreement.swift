import Collectives
import Foundation
import Storage
import Tensors

/// What must be alike on all ranks before they compute together: facts by name, of which the first that differs on a rank
/// ends the job with a line that names rank, host and fact.
///
/// Ranks with other data, settings, checkpoints or programs would otherwise compute something that none of them was asked
/// for: a wrong number, or a collective that never ends.
package struct Agreement {
  private struct Fact {
    let name: String, value: String
    let kind: Failure.Kind
    /// What a long list holds, one line an item, to name the first that differs.
    let list: (() throws -> [String])?
  }
  private var facts: [Fact] = []

  package init() {}

  /// - Parameter kind: of the failure where the fact differs.
  package mutating func add(_ name: String, _ value: some CustomStringConvertible, _ kind: Failure.Kind) {
    facts.append(Fact(name: name, value: "\(value)", kind: kind, list: nil))
  }

  /// As `add`, where `digest` stands for a list: `list` is only asked where digests differ.
  package mutating func add(
    _ name: String, digest: some CustomStringConvertible, _ kind: Failure.Kind, of list: @escaping () throws -> [String]
  ) {
    facts.append(Fact(name: name, value: "\(digest)", kind: kind, list: list))
  }

  /// This program and what it multiplies with: other versions, builds and kernels round differently.
  package mutating func addProgram(_ machine: Machine, _ configuration: Configuration) throws {
    add("Lineup's version", Version.current, .internal)
    add("the program (SHA-256 of its file)", try SHA256.digest(ofFile: "/proc/self/exe").sha256, .internal)
    add("the kernel path (LINEUP_KERNELS forces one for all)", machine.kernels(configuration), .internal)
  }

  /// Every rank calls it alike, with facts of the same names.
  package func settle(_ communicator: any Communicator) throws {
    guard communicator.size > 1 else { return }
    let theirs = try broadcast(facts.map { "\($0.name)\u{0}\($0.value)" }, communicator)
    // The lists of rank 0, where any rank needs one to say what differs.
    var differs = facts.enumerated().map { index, fact -> Double in
      theirs.indices.contains(index) && theirs[index] == "\(fact.name)\u{0}\(fact.value)" ? 0 : 1
    }
    try communicator.allreduce(&differs, .max)
    guard let index = differs.firstIndex(of: 1) else { return }
    let fact = facts[index]
    let list = try communicator.agree { communicator.isCoordinator ? try fact.list?() ?? [] : [] }
    let other = fact.list == nil ? nil : try broadcast(list, communicator)
    try communicator.agree {
      guard theirs[index] != "\(fact.name)\u{0}\(fact.value)" else { return }
      let value = theirs[index].split(separator: "\u{0}").last.map(String.init) ?? ""
      guard let other, let mine = try fact.list?() else {
        throw Failure(fact.kind, "\(fact.name) is \(fact.value) here, \(value) on rank 0")
      }
      throw Failure(fact.kind, "\(fact.name): \(Self.difference(mine, other))")
    }
  }

  /// The first place where two lists part, in words.
  package static func difference(_ mine: [String], _ other: [String]) -> String {
    let counts = mine.count == other.count ? "" : "\(mine.count) here, \(other.count) on rank 0; "
    let shared = zip(mine, other)
    guard let row = shared.enumerated().first(where: { $1.0 != $1.1 }) else {
      return counts
        + "the first that only one has: \((mine.count > other.count ? mine : other)[min(mine.count, other.count)])"
    }
    return counts + "item \(row.offset + 1) is \(row.element.0) here, \(row.element.1) on rank 0"
  }

  private func broadcast(_ lines: [String], _ communicator: any Communicator) throws -> [String] {
    let bytes = try communicator.broadcast([UInt8](try JSONEncoder().encode(lines)))
    return try JSONDecoder().decode([String].self, from: Foundation.Data(bytes))
  }
}

/// The version of the program, as `lineup --version` prints it.
package enum Version {
  package static let current = "0.2.0"
}
