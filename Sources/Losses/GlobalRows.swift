import Collectives
import Layers

/// Whose image a row is, as classes from 0 on.
package struct RowLabels: Sendable, Equatable {
  /// What a head's classifier and losses go by.
  package enum Column: String, CaseIterable, Sendable { case identity, camera, part }

  package let identities: [Int], cameras: [Int]
  /// What of the person each image shows (`data.parts`); 0 is the whole.
  package let parts: [Int]
  /// Of each row that is two images in one, whose the other is, and its share; empty where no row is.
  package let mixes: [Mix?]

  package struct Mix: Sendable, Equatable {
    let identity: Int, camera: Int, part: Int, share: Double

    package init(identity: Int, camera: Int, part: Int = 0, share: Double) {
      (self.identity, self.camera, self.part, self.share) = (identity, camera, part, share)
    }

    fileprivate subscript(column: Column) -> Int {
      switch column {
      case .identity: identity
      case .camera: camera
      case .part: part
      }
    }
  }

  /// `cameras` and `parts`: where no head goes by them, none.
  package init(identities: [Int], cameras: [Int]? = nil, parts: [Int]? = nil, mixes: [Mix?] = []) {
    (self.identities, self.cameras) = (identities, cameras ?? identities.map { _ in 0 })
    self.parts = parts ?? identities.map { _ in 0 }
    self.mixes = mixes.contains { $0 != nil } ? mixes : []
    precondition([self.cameras.count, self.parts.count].allSatisfy { $0 == identities.count })
    precondition(mixes.isEmpty || mixes.count == identities.count)
  }

  package subscript(column: Column) -> [Int] {
    switch column {
    case .identity: identities
    case .camera: cameras
    case .part: parts
    }
  }

  /// The second labels of rows, with their shares.
  package func second(_ column: Column) -> [SecondLabel?] {
    mixes.map { mix in mix.map { SecondLabel(label: $0[column], share: $0.share) } }
  }
}

/// The class of the other image of a row that is two in one.
package struct SecondLabel: Sendable, Equatable {
  package let label: Int
  /// Of it; the row's own label has the rest.
  package let share: Double

  package init(label: Int, share: Double) { (self.label, self.share) = (label, share) }
}

/// The rows of the global batch: the labels of all ranks, in the order of ranks, and which are this rank's.
///
/// Collectives: the labels are gathered.
package struct GlobalRows: Sendable {
  package let labels: RowLabels
  package let own: Range<Int>
  /// Of the run, from 0 on.
  package let step: Int
  /// This rank's rows that are two images in one (`RowLabels.second`).
  private let mixed: RowLabels

  /// The second labels of this rank's rows; empty where there are none.
  package func second(_ column: RowLabels.Column) -> [SecondLabel?] { mixed.second(column) }

  package init(_ own: RowLabels, step: Int = 0, _ communicator: any Communicator) throws {
    (mixed, self.step) = (own, step)
    let columns = RowLabels.Column.allCases
    let ranks = try communicator.allgather(columns.flatMap { own[$0] }), counts = ranks.map { $0.count / columns.count }
    func all(_ column: RowLabels.Column) -> [Int] {
      let place = columns.firstIndex(of: column)!
      return zip(ranks, counts).flatMap { $0[place * $1..<(place + 1) * $1] }
    }
    let first = counts[..<communicator.rank].reduce(0, +)
    labels = RowLabels(identities: all(.identity), cameras: all(.camera), parts: all(.part))
    self.own = first..<first + own.identities.count
  }

  /// B.
  package var count: Int { labels.identities.count }
}
