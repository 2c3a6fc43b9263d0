import Storage
import Tensors

/// The images that a search looks through, in a user's own layout: what `ReIDDataset` reads but for the splits.
///
/// | | identity | camera |
/// |---|---|---|
/// | a folder of images | of a Market-1501 name, else −1 | likewise |
/// | a folder of folders of images | a folder's name, as in `IdentityFolders` | of Market-1501 names where all are such, else −1 |
/// | a CSV file, with the names of columns that `OwnData` has | numbers, or names, which are numbered; −1 without the column | likewise |
package struct SearchedGallery {
  package let samples: [Sample]
  package let names: LabelNames
  /// What looks like a mistake and is none for certain, and what of a folder is left out because there is no file (a link to
  /// nothing, a name that is no UTF-8), a line each.
  package let warnings: [String]

  /// - Throws: `Failure.data` with file and line, or the folder, also where there is no image.
  package init(at path: String) throws {
    guard ImageList.isList(path) else {
      let found: [Sample]
      (found, names) =
        try IdentityFolders.isGallery(path)
        ? IdentityFolders.gallery(at: path) : (ImageList.images(inFolder: path), LabelNames())
      let sizes = Folder.sizes(of: found.map(\.path)) {}
      samples = zip(found, sizes).filter { $0.1 != nil }.map { $0.0 }
      warnings = zip(found, sizes).filter { $0.1 == nil }.map {
        "left out: \($0.0.path): no file that can be read under this name"
      }
      if samples.isEmpty { throw Failure.data(path, "none of its \(found.count) images is a file that can be read") }
      return
    }
    let table = try CSVTable(path: path), column = try table.requiredColumn(OwnData.paths)
    if table.count == 0 { throw Failure.data(path, "no image in it") }
    let identities = try table.labels(ofFirst: OwnData.identities), cameras = try table.labels(ofFirst: OwnData.cameras)
    samples = try (0..<table.count).map { row in
      Sample(
        path: try ImageList.image(table, row, column), identity: identities?.values[row] ?? -1,
        camera: cameras?.values[row] ?? -1)
    }
    names = LabelNames(identities: identities?.names ?? [:], cameras: cameras?.names ?? [:])
    warnings = [identities?.warning, cameras?.warning].compactMap { $0 }
  }
}
