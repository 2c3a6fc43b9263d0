import Foundation
import Storage
import Tensors

extension ReIDDataset {
  /// Opens the data set at `root`: a folder with Market-1501 (or a data set of that layout), MSMT17, VeRi, VehicleID, VIPeR,
  /// PRID 2011, MARS or LaST in or right below it, or with a folder for each identity, or a CSV file (`OwnData`), which may be
  /// the `metadata.csv` of the folder.
  ///
  /// - Throws: `Failure.data` that says what was looked for and where, or which file or line is wrong.
  package static func open(at root: String, _ reading: DatasetReading = DatasetReading()) throws -> ReIDDataset {
    try found(at: root, reading).adding(distractors: reading.distractors)
  }

  private static func found(at root: String, _ reading: DatasetReading) throws -> ReIDDataset {
    let split = RandomSplit(number: reading.split)
    var root = root
    while root.count > 1 && root.hasSuffix("/") { root.removeLast() }
    guard FileManager.default.fileExists(atPath: root) else {
      throw Failure.data(root, "no such folder or CSV file; a data set was expected there")
    }
    if !InputFile.isFolder(root) { return try OwnData.open(csv: root, split: split) }

    for layout in [FolderLayout.market1501, .veri] {
      for place in layout.places where InputFile.isFolder(joinPath(joinPath(root, place), layout.train)) {
        return try layout.open(at: joinPath(root, place))
      }
    }
    for place in MSMT17.places
    where FileManager.default.fileExists(atPath: joinPath(joinPath(root, place), MSMT17.marker)) {
      return try MSMT17.open(at: joinPath(root, place), includeValidation: reading.includeValidation)
    }
    for place in VehicleID.places where InputFile.size(joinPath(joinPath(root, place), VehicleID.marker)) != nil {
      return try VehicleID.open(at: joinPath(root, place), vehicles: reading.vehicles, split: split)
    }
    for place in MARS.places where InputFile.isFolder(joinPath(joinPath(root, place), MARS.train)) {
      return try MARS.open(at: joinPath(root, place))
    }
    if InputFile.isFolder(joinPath(root, CameraPairLayout.marker)) {
      return try CameraPairLayout.ofFolder(root).open(at: root, split: split)
    }
    for layout in [CameraPairLayout.prid, .viper] {
      for place in layout.places where InputFile.isFolder(joinPath(joinPath(root, place), CameraPairLayout.marker)) {
        return try layout.open(at: joinPath(root, place), split: split)
      }
    }
    for place in LaST.places where LaST.isAt(joinPath(root, place)) { return try LaST.open(at: joinPath(root, place)) }
    if InputFile.size(joinPath(root, OwnData.metadata)) != nil {
      return try OwnData.open(csv: joinPath(root, OwnData.metadata), split: split)
    }
    if IdentityFolders.isAt(root) { return try IdentityFolders.open(at: root, split: split) }
    let looked = [
      (FolderLayout.market1501.train, FolderLayout.market1501.places), (MSMT17.marker, MSMT17.places),
      (FolderLayout.veri.train, FolderLayout.veri.places), (VehicleID.marker, VehicleID.places),
      (MARS.train, MARS.places),
      (CameraPairLayout.marker, [""] + CameraPairLayout.prid.places + CameraPairLayout.viper.places),
      (LaST.query, LaST.places),
      (OwnData.metadata, [""]),
    ].map { marker, places in
      let below = places.filter { !$0.isEmpty }.joined(separator: ", ")
      return below.isEmpty ? marker : "\(marker) (or in \(below))"
    }
    throw Failure.data(
      root,
      "no data set: looked in it for \(looked.joined(separator: "; ")); and for a folder of images for each identity")
  }
}
