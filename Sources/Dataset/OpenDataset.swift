import Foundation
import Storage
import Tensors

extension ReIDDataset {
  /// Opens the data set at `root`: a folder with Market-1501 (or a data set of that layout), MSMT17, VeRi, VehicleID, VIPeR or
  /// PRID 2011 in or right below it, or with a folder for each identity, or a CSV file (`OwnData`).
  ///
  /// `includeValidation` concerns MSMT17 alone: its validation images are trained on, too. Throws `Failure.data`
  /// that says what was looked for and where, or which file or line is wrong.
  package static func open(at root: String, includeValidation: Bool = false) throws -> ReIDDataset {
    var root = root
    while root.count > 1 && root.hasSuffix("/") { root.removeLast() }
    guard FileManager.default.fileExists(atPath: root) else {
      throw Failure.data(root, "no such folder or CSV file; a data set was expected there")
    }
    if !InputFile.isFolder(root) { return try OwnData.open(csv: root) }

    for layout in [FolderLayout.market1501, .veri] {
      for place in layout.places where InputFile.isFolder(joinPath(joinPath(root, place), layout.train)) {
        return try layout.open(at: joinPath(root, place))
      }
    }
    for place in MSMT17.places
    where FileManager.default.fileExists(atPath: joinPath(joinPath(root, place), MSMT17.marker)) {
      return try MSMT17.open(at: joinPath(root, place), includeValidation: includeValidation)
    }
    for place in VehicleID.places where InputFile.size(joinPath(joinPath(root, place), VehicleID.marker)) != nil {
      return try VehicleID.open(at: joinPath(root, place))
    }
    if InputFile.isFolder(joinPath(root, CameraPairLayout.marker)) {
      return try CameraPairLayout.ofFolder(root).open(at: root)
    }
    for layout in [CameraPairLayout.prid, .viper] {
      for place in layout.places where InputFile.isFolder(joinPath(joinPath(root, place), CameraPairLayout.marker)) {
        return try layout.open(at: joinPath(root, place))
      }
    }
    if IdentityFolders.isAt(root) { return try IdentityFolders.open(at: root) }
    let looked = [
      (FolderLayout.market1501.train, FolderLayout.market1501.places), (MSMT17.marker, MSMT17.places),
      (FolderLayout.veri.train, FolderLayout.veri.places), (VehicleID.marker, VehicleID.places),
      (CameraPairLayout.marker, [""] + CameraPairLayout.prid.places + CameraPairLayout.viper.places),
    ].map { marker, places in "\(marker) (or in \(places.filter { !$0.isEmpty }.joined(separator: ", ")))" }
    throw Failure.data(
      root,
      "no data set: looked in it for \(looked.joined(separator: "; ")); and for a folder of images for each identity")
  }
}
