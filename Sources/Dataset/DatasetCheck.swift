import Tensors

/// What is to be known of a data set before a run, and not after its first epochs.
extension ReIDDataset {
  /// Whether there is anything to test on.
  package var hasTest: Bool { !query.isEmpty || !gallery.isEmpty }

  /// Lines about what would make figures mislead, with counts and an example each:
  ///
  /// - queries without an image of their identity by another camera in the gallery, which evaluation leaves out;
  /// - tracks of which frames are queries and others in the gallery;
  /// - identities that are both trained and tested on;
  /// - identities with fewer images than `images` (K of a batch), which then come more than once.
  ///
  /// - Throws: `Failure.data` where no query at all has a match, or one of queries and gallery is missing.
  package func check(images: Int? = nil) throws -> [String] {
    var lines: [String] = []
    if hasTest {
      try require(.query, .gallery)
      let cameras = Dictionary(grouping: gallery, by: \.identity).mapValues { Set($0.map(\.camera)) }
      let alone = query.filter { one in cameras[one.identity]?.subtracting([one.camera]).isEmpty ?? true }
      if let first = alone.first {
        let which =
          "\(alone.count) of \(query.count) queries have no image of their identity by another camera in the gallery"
        let example = "such as \(first.path) (identity \(first.identity), camera \(first.camera))"
        if alone.count == query.count {
          let isOne = Set((query + gallery).map(\.camera)).count == 1
          let hint = isOne ? " (all are by one camera; without any, each image counts as its own)" : ""
          throw Failure.data(root, "\(which), \(example): nothing can be evaluated\(hint)")
        }
        lines.append("\(which), \(example): they are left out of evaluations")
      }
    }
    lines += overlaps
    if let images {
      let counts = Dictionary(grouping: train, by: \.identity).mapValues(\.count)
      let few = counts.values.count { $0 < images }
      if few > 0 {
        lines.append(
          "\(few) of \(counts.count) training identities have fewer than \(images) images (sampling.images), which then come "
            + "more than once in a batch")
      }
    }
    return lines
  }

  /// Of the lines of `check` those on what queries, gallery and training images share.
  package var overlaps: [String] {
    let trained = Set(train.map(\.identity)), tested = Set((query + gallery).map(\.identity))
    guard identitiesAreShared, let first = trained.intersection(tested).min() else { return cutTracks }
    return cutTracks + [
      "\(trained.intersection(tested).count) of \(tested.count) identities that are tested on are trained on too, such as "
        + "\(first): figures will be better than for new ones"
    ]
  }

  private var cutTracks: [String] {
    func paths(_ samples: [Sample]) -> [Int: Set<String>] {
      Dictionary(grouping: samples.filter { $0.track != nil }, by: { $0.track! }).mapValues { Set($0.map(\.path)) }
    }
    let searched = paths(query), found = paths(gallery)
    // A track may be searched for as a whole where it is in the gallery as a whole: its own camera does not count.
    let cut = searched.filter { track, frames in found[track].map { $0 != frames } ?? false }
    guard let first = cut.min(by: { $0.key < $1.key }) else { return [] }
    return [
      "\(cut.count) of \(searched.count) tracks that are searched for have frames in the gallery, too, such as that of "
        + "\(first.value.min()!)"
    ]
  }
}
