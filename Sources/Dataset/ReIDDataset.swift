import Tensors

/// A re-identification data set: what is trained on, and what is searched for in what.
package struct ReIDDataset: Sendable {
  /// The parts of a data set.
  package enum Split: String, CaseIterable, Sendable { case train, query, gallery }

  /// The layout it was read from, for the log.
  package let name: String
  /// The folder (or CSV file) that it was found in.
  package let root: String
  /// In the order of the file names (of the lines, where a list names the files), the same on every machine.
  package let train: [Sample], query: [Sample], gallery: [Sample]
  /// What looks like a mistake and is none for certain, a line each.
  package let warnings: [String]
  /// What numbers of identities and cameras stand for.
  package let names: LabelNames
  /// Whether a number means the same identity in training and test.
  package let identitiesAreShared: Bool

  package init(
    name: String, root: String, train: [Sample], query: [Sample], gallery: [Sample], warnings: [String] = [],
    identitiesAreShared: Bool = true, names: LabelNames = LabelNames()
  ) {
    self.names = names
    self.identitiesAreShared = identitiesAreShared
    self.name = name
    self.root = root
    self.warnings = warnings
    self.train = train
    self.query = query
    self.gallery = gallery
  }

  /// Of all images.
  package var paths: some Sequence<String> { Split.allCases.lazy.flatMap { self[$0].lazy.map(\.path) } }

  /// The samples of `split`.
  package subscript(split: Split) -> [Sample] {
    switch split {
    case .train: train
    case .query: query
    case .gallery: gallery
    }
  }

  /// What is counted: tracks, and images that are of none.
  package func units(_ split: Split) -> (count: Int, name: String) {
    let tracks = Set(self[split].compactMap(\.track)), single = self[split].count { $0.track == nil }
    let name = tracks.isEmpty ? "images" : single == 0 ? "tracks" : "tracks and single images"
    return (tracks.count + single, name)
  }

  /// Throws `Failure.data` where one of `splits` has no image (own data may leave some out).
  package func require(_ splits: Split...) throws {
    for split in splits where self[split].isEmpty {
      throw Failure.data(root, "no image of the split \"\(split.rawValue)\"")
    }
  }

  /// One line for the log: images, identities and cameras of each split.
  package var summary: String {
    let parts = Split.allCases.map { split in
      let samples = self[split]
      let identities = Set(samples.map(\.identity)).count, cameras = Set(samples.map(\.camera)).count
      return "\(split.rawValue) \(samples.count) images of \(identities) identities, \(cameras) cameras"
    }
    return "\(root) (\(name)): " + parts.joined(separator: "; ")
  }
}
