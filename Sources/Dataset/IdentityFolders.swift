import Foundation
import Storage
import Tensors

/// Images in a folder of their own for each identity:
///
///     ROOT/<identity>/<image>                                   divided by `RandomSplit`
///     ROOT/train/<identity>/<image>                             with query/ and gallery/, or test/ (val/), or nothing to test on
///
/// Identities are the names of the folders: numbers where all of them are, else numbered from 1 in sorted order; a folder of a
/// negative number holds junk and is passed over. The camera is that of a name as 0002_c1s1_000451_03.jpg where every image has
/// such a name; else each image is one of its own.
enum IdentityFolders {
  private static let tests = ["test", "val"]
  /// Folders of the layouts: beside one of them a folder is a misspelt one sooner than a person.
  private static let others: Set<String> = [
    "bounding_box_train", "bounding_box_test", "query", "gallery", "test", "val", "train_test_split", "cam_a", "cam_b",
    "bbox_train", "bbox_test", "image_train", "image_query", "image_test", "mask_train_v2", "mask_test_v2",
  ]

  /// Whether `root` looks like one: images in two folders at least, and, where there is no `train`, no folder of a data set of
  /// another layout.
  static func isAt(_ root: String) -> Bool {
    let isDivided = InputFile.isFolder(joinPath(root, "train")), base = isDivided ? joinPath(root, "train") : root
    let names = ImageFolder.folders(in: base)
    if !isDivided && !others.isDisjoint(with: names) { return false }
    return names.lazy.filter { (try? ImageFolder.names(in: joinPath(base, $0))) != nil }.prefix(2).count == 2
  }

  /// Whether `root`, which has no images itself, has folders of them and none of another layout.
  static func isGallery(_ root: String) -> Bool {
    func hasImages(_ folder: String) -> Bool { (try? ImageFolder.names(in: folder)) != nil }
    let names = ImageFolder.folders(in: root)
    return !hasImages(root) && others.isDisjoint(with: names) && !names.contains("train")
      && names.contains { hasImages(joinPath(root, $0)) }
  }

  static func open(at root: String, split: RandomSplit) throws -> ReIDDataset {
    var found: [Image] = [], roles: [Role] = []
    func add(_ folder: String, _ role: Role) throws {
      found += try images(in: folder)
      roles += Array(repeating: role, count: found.count - roles.count)
    }
    let isDivided = InputFile.isFolder(joinPath(root, "train"))
    if isDivided {
      try add(joinPath(root, "train"), .train)
      for (name, role) in [("query", Role.query), ("gallery", .gallery)] + tests.map({ ($0, .test) })
      where InputFile.isFolder(joinPath(root, name)) {
        // A folder `test` counts only where queries and gallery are not told apart.
        if role == .test && roles.contains(where: { $0 != .train }) { continue }
        try add(joinPath(root, name), role)
      }
    } else {
      try add(root, .any)
    }
    let parts = Role.divide(samples(found) { $0 + 1 }, roles, split)
    return ReIDDataset(
      name: "folders by identity" + (isDivided ? "" : ", split \(split.number) by identity"), root: root,
      train: parts.train, query: parts.query, gallery: parts.gallery, names: names(of: found))
  }

  /// All images of `root`, each folder of it an identity: a gallery. Where names tell no camera, it is unknown, −1.
  static func gallery(at root: String) throws -> ([Sample], LabelNames) {
    let images = try images(in: root)
    return (samples(images) { _ in -1 }, names(of: images))
  }

  private static func names(of images: [Image]) -> LabelNames {
    let names = numbers(Set(images.map(\.identity))).filter { $0.key != "\($0.value)" }.map { ($0.value, $0.key) }
    return LabelNames(identities: Dictionary(uniqueKeysWithValues: names))
  }

  private typealias Image = (path: String, identity: String)

  private static func images(in folder: String) throws -> [Image] {
    let identities = ImageFolder.folders(in: folder).filter { Int($0).map { $0 >= 0 } ?? true }
    return try identities.flatMap { identity in
      let path = joinPath(folder, identity)
      return try ImageFolder.names(in: path).map { (joinPath(path, $0), identity) }
    }
  }

  /// - Parameter unknown: the camera of an image, by its place, where names tell none.
  private static func samples(_ images: [Image], unknown: (Int) -> Int) -> [Sample] {
    let numbers = numbers(Set(images.map(\.identity)))
    let cameras = images.map { MarketName(String($0.path.split(separator: "/").last!))?.camera }
    let areKnown = cameras.allSatisfy { $0 != nil }
    return images.enumerated().map { index, image in
      Sample(
        path: image.path, identity: numbers[image.identity]!, camera: areKnown ? cameras[index]! : unknown(index))
    }
  }

  private static func numbers(_ names: Set<String>) -> [String: Int] {
    let integers = names.compactMap { name in Int(name).map { (name, $0) } }
    // `7` and `007` would be one.
    if integers.count == names.count && Set(integers.map(\.1)).count == names.count {
      return Dictionary(uniqueKeysWithValues: integers)
    }
    return Dictionary(uniqueKeysWithValues: zip(names.sorted(), 1...))
  }
}
