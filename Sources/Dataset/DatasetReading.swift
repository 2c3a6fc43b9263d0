import Storage
import Tensors

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
  /// - Throws: `Failure.data` that names `data.distractors` for a folder that is none or has no image, and for an image that
  ///   the data set has itself, or that comes twice.
  func adding(distractors folders: [String]) throws -> ReIDDataset {
    if !hasTest || folders.isEmpty { return self }
    let nobody = Split.allCases.flatMap { self[$0].map(\.identity) }.max()! + 1
    var seen: [FileIdentity: String] = [:]
    for path in paths { if let file = FileIdentity(path) { seen[file] = path } }
    var added: [Sample] = []
    for folder in folders {
      if folder.isEmpty { throw Failure.data("data.distractors", "the path of a folder is empty") }
      for name in try Self.names(ofDistractors: folder) {
        let path = joinPath(folder, name)
        guard let file = FileIdentity(path) else { throw Failure.data("data.distractors, \(path)", "leads nowhere") }
        if let other = seen[file] {
          let which = other == path ? "comes twice" : "is \(other), which is there already"
          throw Failure.data("data.distractors, \(path)", which)
        }
        seen[file] = path
        added.append(Sample(path: path, identity: nobody, camera: -1))
      }
    }
    return ReIDDataset(
      name: "\(name), \(added.count) distractors", root: root, train: train, query: query, gallery: gallery + added,
      warnings: warnings, identitiesAreShared: identitiesAreShared, names: names)
  }

  /// Without the training images of identities that have fewer than `images` of them; its name says how many that are.
  ///
  /// - Throws: `Failure.usage` that names `sampling.minimumImages` where no identity is left.
  package func leavingOut(fewerThan images: Int) throws -> ReIDDataset {
    let counts = Dictionary(grouping: train, by: \.identity).mapValues(\.count)
    let kept = train.filter { counts[$0.identity]! >= images }, few = counts.values.count { $0 < images }
    if few == 0 { return self }
    if kept.isEmpty {
      throw Failure.usage(
        "sampling.minimumImages is \(images), but none of the \(counts.count) training identities of \(root) has so many"
      )
    }
    let remark = "\(few) of \(counts.count) training identities left out, of fewer than \(images) images"
    return ReIDDataset(
      name: "\(name), \(remark)", root: root, train: kept, query: query, gallery: gallery, warnings: warnings,
      identitiesAreShared: identitiesAreShared, names: names)
  }

  private static func names(ofDistractors folder: String) throws -> [String] {
    do {
      return try ImageFolder.names(in: folder)
    } catch let failure as Failure {
      throw Failure.data("data.distractors", "\(failure)")
    }
  }
}
