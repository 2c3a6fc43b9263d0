import Dataset
import Storage

/// Any table: every field, and every column as numbers and as labels.
struct CSVTarget: FuzzReader {
  static let words = [
    "path,identity,camera\n", "path,identity,camera,split\n", "path,identity,camera,face\n", "1 2 30 40", "a.jpg",
    ",train\n", ",query\n", ",gallery\n", "\"",
    "\"\"",
    "\r\n", "\u{FEFF}", "\u{2212}", "9223372036854775807", "9223372036854775808", "-1", "+7", "7.0", ",,,", "\u{200b}",
  ]
  private let folder: FuzzFolder
  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let table = try CSVTable(path: try folder.file("table.csv", bytes))
    try FuzzFinding.require(table.count <= bytes.count, "\(table.count) rows in \(bytes.count) bytes")
    for (index, name) in table.header.enumerated().prefix(8) {
      for row in 0..<table.count {
        let text = try table.text(row, index)
        try FuzzFinding.require(text.utf8.count <= CSVTable.longestField, "a field of \(text.utf8.count) bytes")
      }
      guard try table.column(name) == index else { throw FuzzFinding("column \(name) is another") }
      let labels = try table.labels(name).values
      try FuzzFinding.require(labels.count == table.count, "\(labels.count) labels of \(table.count) rows")
      let integers: [Int]
      do { integers = try table.integers(name) } catch { continue }
      try FuzzFinding.require(integers == labels, "integers that are other labels")
    }
  }
}

/// A user's own data, and what it looks like from here.
struct OwnDataTarget: FuzzReader {
  private let folder: FuzzFolder

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    for name in ["a.jpg", "b.jpg", "c.jpg"] { try folder.file(name, []) }
  }

  func read(_ bytes: [UInt8]) throws { try requireWhole(ReIDDataset.open(at: folder.file("data.csv", bytes))) }
}

/// What every data set is good for.
private func requireWhole(_ dataset: ReIDDataset) throws {
  for split in ReIDDataset.Split.allCases {
    let classes = Sample.classes(of: dataset[split])
    try FuzzFinding.require(classes.values.sorted() == Array(0..<classes.count), "classes with a gap")
    for sample in dataset[split] {
      try FuzzFinding.require(sample.identity >= 0 && !sample.path.isEmpty, "\(sample)")
    }
    _ = dataset.listing(of: split)
  }
  try FuzzFinding.require(!dataset.summary.isEmpty, "no summary")
  _ = try dataset.survey()
}

/// A list of images for a command; written out, it reads back.
struct ImageListTarget: FuzzReader {
  private let folder: FuzzFolder

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    try folder.file("a.jpg", [])
  }

  func read(_ bytes: [UInt8]) throws {
    let path = try folder.file("list.csv", bytes)
    let resolved = try ImageList.read(path: path), written = try ImageList.read(path: path, resolvingPaths: false)
    try FuzzFinding.require(resolved.count == written.count && !written.isEmpty, "\(resolved.count) images")
    var text = "path,identity,camera\n"
    for sample in written { text += "\(CSVTable.field(sample.path)),\(sample.identity),\(sample.camera)\n" }
    let again = try ImageList.read(path: folder.file("again.csv", Array(text.utf8)), resolvingPaths: false)
    try FuzzFinding.require(
      zip(again, written).allSatisfy { $0.path.utf8.elementsEqual($1.path.utf8) && $0.identity == $1.identity }
        && again.count == written.count, "a list that does not read back")
  }
}

/// The list of training images of MSMT17; its other lists are in order.
struct MSMT17Target: FuzzReader {
  static let words = [
    "0000/", "0000_000_01_0303morning_0015_0.jpg", " 0\n", " 1\n", "_", "__", "/", "\u{FEFF}", "\u{2028}", "\r\n", "-1",
    "9223372036854775808", "\t",
  ]
  private let folder: FuzzFolder

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    for place in ["train", "test", "train/0000", "test/0000"] { try folder.folder(place) }
    let image = "0000/0000_000_01_0303morning_0015_0.jpg"
    for split in ["train", "test"] { try folder.file("\(split)/\(image)", []) }
    for list in ["query", "gallery", "val"] { try folder.file("list_\(list).txt", Array("\(image) 0\n".utf8)) }
  }

  func read(_ bytes: [UInt8]) throws {
    try folder.file("list_train.txt", bytes)
    var reading = DatasetReading()
    reading.includeValidation = bytes.count % 2 == 0
    try requireWhole(ReIDDataset.open(at: folder.path, reading))
  }
}
