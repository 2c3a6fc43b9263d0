import Foundation
import Storage
import Tensors

extension ReIDDataset {
  /// Opens the data set at `root`: a folder with Market-1501 (or a data set of that layout), MSMT17, VeRi, VehicleID, VIPeR,
  /// PRID 2011, MARS or LaST in or right below it, or with a folder for each identity, or a CSV file (`OwnData`), which may be
  /// the `metadata.csv` of the folder.
  ///
  /// - Throws: `Failure.data` that says what was looked for and where, or which file or line is wrong; and where several data
  ///   sets are right below the folder.
  package static func open(at root: String, _ reading: DatasetReading = DatasetReading()) throws -> ReIDDataset {
    try found(at: root, reading).adding(distractors: reading.distractors)
  }

  private static func found(at root: String, _ reading: DatasetReading) throws -> ReIDDataset {
    var root = root
    while root.count > 1 && root.hasSuffix("/") { root.removeLast() }
    guard FileManager.default.fileExists(atPath: root) else {
      throw Failure.data(root, "no such folder or CSV file; a data set was expected there")
    }
    let split = RandomSplit(number: reading.split)
    if !InputFile.isFolder(root) { return try OwnData.open(csv: root, split: split) }

    let layouts = KnownLayout.all(reading)
    if let own = layouts.first(where: { $0.places.contains("") && $0.isAt(root) }) { return try own.open(root) }
    var below: [(folder: String, layout: KnownLayout)] = []
    for layout in layouts {
      // On some file systems two of the places are one.
      for folder in layout.places.map({ joinPath(root, $0) })
      where layout.isAt(folder) && !below.contains(where: { FileIdentity($0.folder) == FileIdentity(folder) }) {
        below.append((folder, layout))
      }
    }
    if below.count > 1 {
      throw Failure.data(
        root, "holds several data sets, \(below.map(\.folder).joined(separator: ", ")): name one of them")
    }
    if let (folder, layout) = below.first { return try layout.open(folder) }

    if InputFile.size(joinPath(root, OwnData.metadata)) != nil {
      return try OwnData.open(csv: joinPath(root, OwnData.metadata), split: split)
    }
    if IdentityFolders.isAt(root) { return try IdentityFolders.open(at: root, split: split) }
    var looked: [(marker: String, places: [String])] = []
    for (marker, places) in layouts.map({ ($0.marker, $0.places) }) + [(OwnData.metadata, [""])] {
      let below = places.filter { !$0.isEmpty }
      if looked.last?.marker == marker {
        looked[looked.count - 1].places += below
      } else {
        looked.append((marker, below))
      }
    }
    let places = looked.map { marker, places in
      places.isEmpty ? marker : "\(marker) (or in \(places.joined(separator: ", ")))"
    }
    throw Failure.data(
      root,
      "no data set: looked in it for \(places.joined(separator: "; ")); and for a folder of images for each identity")
  }
}

/// A layout of folders that a benchmark is known by.
private struct KnownLayout {
  /// What tells that it is there, below its folder.
  let marker: String
  /// Where below the given root its folder is looked for; "" is the root itself.
  let places: [String]
  let isAt: (_ folder: String) -> Bool
  let open: (_ folder: String) throws -> ReIDDataset

  /// - Parameter isAt: by default whether `marker` is a folder there.
  init(
    _ marker: String, _ places: [String], isAt: ((String) -> Bool)? = nil,
    open: @escaping (String) throws -> ReIDDataset
  ) {
    (self.marker, self.places, self.open) = (marker, places, open)
    self.isAt = isAt ?? { InputFile.isFolder(joinPath($0, marker)) }
  }

  static func all(_ reading: DatasetReading) -> [KnownLayout] {
    let split = RandomSplit(number: reading.split), pairs = CameraPairLayout.marker
    func has(_ marker: String) -> (String) -> Bool { { FileIdentity(joinPath($0, marker)) != nil } }
    return [FolderLayout.market1501, .veri].map { layout in
      KnownLayout(layout.train, layout.places) { try layout.open(at: $0) }
    } + [
      KnownLayout(MSMT17.marker, MSMT17.places, isAt: has(MSMT17.marker)) {
        try MSMT17.open(at: $0, includeValidation: reading.includeValidation)
      },
      KnownLayout(VehicleID.marker, VehicleID.places, isAt: has(VehicleID.marker)) {
        try VehicleID.open(at: $0, vehicles: reading.vehicles, split: split)
      },
      KnownLayout(MARS.train, MARS.places) { try MARS.open(at: $0) },
      KnownLayout(pairs, [""]) { try CameraPairLayout.ofFolder($0).open(at: $0, split: split) },
    ]
      + [CameraPairLayout.prid, .viper].map { layout in
        KnownLayout(pairs, layout.places) { try layout.open(at: $0, split: split) }
      } + [KnownLayout(LaST.query, LaST.places, isAt: LaST.isAt) { try LaST.open(at: $0) }]
  }
}
