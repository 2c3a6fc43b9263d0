import Collectives
import Layers

/// Whose image a row is, as classes from 0 on.
package struct RowLabels: Sendable, Equatable {
  /// What a head's classifier and losses go by.
  package enum Column: String, CaseIterable, Sendable { case identity, camera }

  package let identities: [Int], cameras: [Int]

  /// `cameras`: where no head goes by them, none.
  package init(identities: [Int], cameras: [Int]? = nil) {
    (self.identities, self.cameras) = (identities, cameras ?? identities.map { _ in 0 })
    precondition(self.identities.count == self.cameras.count)
  }

  package subscript(column: Column) -> [Int] { column == .identity ? identities : cameras }
}

/// The rows of the global batch: the labels of all ranks, in the order of ranks, and which are this rank's.
///
/// Collectives: the labels are gathered.
package struct GlobalRows: Sendable {
  package let labels: RowLabels
  package let own: Range<Int>

  package init(_ own: RowLabels, _ communicator: any Communicator) throws {
    let ranks = try communicator.allgather(own.identities + own.cameras)
    let first = ranks[..<communicator.rank].reduce(0) { $0 + $1.count / 2 }
    labels = RowLabels(
      identities: ranks.flatMap { $0.prefix($0.count / 2) }, cameras: ranks.flatMap { $0.suffix($0.count / 2) })
    self.own = first..<first + own.identities.count
  }

  /// B.
  package var count: Int { labels.identities.count }
}
