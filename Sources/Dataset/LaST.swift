import Foundation
import Storage
import Tensors

/// LaST (Shu et al., "Large-Scale Spatio-Temporal Person Re-identification", 2021), frames of films:
///
///     train/<person>/<person>_….jpg      test/query/<person>_….jpg      test/gallery/<person>/<person>_….jpg
///
/// A person is the number that a file's name begins with. It knows no cameras: each image is its own, as its authors evaluate.
/// Training and test are numbered apart; its validation images (`val`) are not read.
enum LaST {
  static let places = ["", "last", "LaST", "LAST"]
  static let query = "test/query"
  private static let train = "train", gallery = "test/gallery"

  /// Whether `root` has its three folders, and queries in one folder, not in one for each identity.
  static func isAt(_ root: String) -> Bool {
    guard [train, query, gallery].allSatisfy({ InputFile.isFolder(joinPath(root, $0)) }) else { return false }
    return (try? ImageFolder.names(in: joinPath(root, query))) != nil
  }

  static func open(at root: String) throws -> ReIDDataset {
    var camera = 0
    func samples(in folder: String) throws -> [Sample] {
      try ImageFolder.names(in: folder).map { file in
        let path = joinPath(folder, file)
        guard let person = Int(file.prefix { $0 != "_" }), person >= 0 else {
          throw Failure.data(path, "the name does not begin with a person's number, as 000123_….jpg does")
        }
        camera += 1
        return Sample(path: path, identity: person, camera: camera)
      }
    }
    func persons(in folder: String) throws -> [Sample] {
      try ImageFolder.folders(in: joinPath(root, folder)).flatMap {
        try samples(in: joinPath(joinPath(root, folder), $0))
      }
    }
    return ReIDDataset(
      name: "LaST", root: root, train: try persons(in: train), query: try samples(in: joinPath(root, query)),
      gallery: try persons(in: gallery), identitiesAreShared: false)
  }
}
