/// What the layouts of data sets leave open: the keys of section `data` that say which images a data set has.
package struct DatasetReading: Sendable, Equatable {
  /// Whether MSMT17's validation images are trained on, too.
  package var includeValidation = false
  /// Which of the random divisions, where a data set has none of its own (`RandomSplit`).
  package var split = 0
  /// Which of VehicleID's lists is tested on, by its vehicles: 800, 1600 or 2400.
  package var vehicles = 800
  /// Folders of images that join every gallery and show nobody who is searched for.
  package var distractors: [String] = []

  package init() {}

  /// The lists that VehicleID has.
  package static let vehicleLists = [800, 1600, 2400]
}

extension ReIDDataset {
  /// With all images of `folders` in its gallery, if it has one, as a person (or vehicle) of their own, whom no camera knows.
  ///
  /// - Throws: `Failure.data` for a folder that is none, or has no image.
  func adding(distractors folders: [String]) throws -> ReIDDataset {
    if !hasTest || folders.isEmpty { return self }
    let nobody = Split.allCases.flatMap { self[$0].map(\.identity) }.max()! + 1
    let added = try folders.flatMap { folder in
      try ImageFolder.names(in: folder).map { Sample(path: joinPath(folder, $0), identity: nobody, camera: -1) }
    }
    return ReIDDataset(
      name: "\(name), \(added.count) distractors", root: root, train: train, query: query, gallery: gallery + added,
      warnings: warnings, identitiesAreShared: identitiesAreShared)
  }
}
