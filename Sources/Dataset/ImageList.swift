import Foundation
import Storage
import Tensors

/// Lists of images: the CSV files `path,identity,camera` that commands read and write, and the images of a folder.
package enum ImageList {
  /// Reads the CSV file at `path`, rows in their order.
  ///
  /// With `resolvingPaths` a relative path counts from the folder of the CSV file, or, where no such file exists,
  /// from the working folder; without it paths stay as they are written. Identities and cameras are integers; a column `face`
  /// may say where faces are (`FaceColumn`), one of integers `group` who is seen together, empty
  /// or negative where nobody is.
  /// - Throws: `Failure.data` with file and line, also where no image is listed.
  package static func read(path: String, resolvingPaths: Bool = true) throws -> [Sample] {
    let table = try CSVTable(path: path)
    let column = try table.column("path")
    let identities = try table.integers("identity"), cameras = try table.integers("camera")
    let faces = try FaceColumn(table), groups = try table.integers(ifAny: "group", empty: -1)
    if table.count == 0 { throw Failure.data(path, "no image in it") }
    return try (0..<table.count).map { row in
      Sample(
        path: try image(table, row, column, resolvingPath: resolvingPaths), identity: identities[row],
        camera: cameras[row], face: try faces.face(of: row),
        group: groups?[row])
    }
  }

  /// The path in a row of a list.
  static func image(_ table: CSVTable, _ row: Int, _ column: Int, resolvingPath: Bool = true) throws -> String {
    let image = try table.text(row, column)
    if image.isEmpty { throw table.failure(row, "\(table.header[column]) is empty") }
    let beside = joinPath(folder(of: table.path), image)
    return resolvingPath && FileManager.default.fileExists(atPath: beside) ? beside : image
  }

  /// The folder that a list's file is in; "" is the working folder.
  static func folder(of list: String) -> String { String(list[..<(list.lastIndex(of: "/") ?? list.startIndex)]) }

  /// What a command takes for images: a CSV file, by its name, or a folder.
  package static func listing(_ path: String) throws -> [Sample] {
    try isList(path) ? read(path: path) : images(inFolder: path)
  }

  /// The folder that the images of such a listing are below.
  package static func root(of path: String) -> String { isList(path) ? folder(of: path) : path }

  static func isList(_ path: String) -> Bool { path.lowercased().hasSuffix(".csv") }

  /// Writes `samples` in their order to the CSV file at `path`, replacing it as a whole.
  package static func write(_ samples: [Sample], to path: String) throws {
    var text = "path,identity,camera\n"
    for sample in samples { text += "\(CSVTable.field(sample.path)),\(sample.identity),\(sample.camera)\n" }
    try AtomicFiles.write(text, to: path)
  }

  /// Every image of `folder` itself, in the order of the names. Identity and camera are those of a Market-1501 name
  /// (junk stays, as −1), and −1 where the name tells none.
  package static func images(inFolder folder: String) throws -> [Sample] {
    try ImageFolder.names(in: folder).map { file in
      let name = MarketName(file)
      return Sample(path: joinPath(folder, file), identity: name?.identity ?? -1, camera: name?.camera ?? -1)
    }
  }
}
