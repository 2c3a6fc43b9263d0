import Foundation
import Tensors

/// Lists of images: the CSV files `path,identity,camera` that commands read and write, and the images of a folder.
package enum ImageList {
  /// Reads the CSV file at `path`, rows in their order.
  ///
  /// With `resolvingPaths` a relative path counts from the folder of the CSV file, or, where no such file exists,
  /// from the working folder; without it paths stay as they are written. Identities and cameras are integers.
  package static func read(path: String, resolvingPaths: Bool = true) throws -> [Sample] {
    let table = try CSVTable(path: path)
    let columns = (try table.column("path"), try table.column("identity"), try table.column("camera"))
    let folder = path.contains("/") ? String(path[..<path.lastIndex(of: "/")!]) : ""
    return try table.rows.map { row in
      var image = row.fields[columns.0]
      if image.isEmpty { throw Failure.data("\(path):\(row.line): path is empty") }
      if resolvingPaths && FileManager.default.fileExists(atPath: joinPath(folder, image)) {
        image = joinPath(folder, image)
      }
      return Sample(
        path: image, identity: try integer(row.fields[columns.1], "identity", "\(path):\(row.line)"),
        camera: try integer(row.fields[columns.2], "camera", "\(path):\(row.line)"))
    }
  }

  /// Writes `samples` in their order to the CSV file at `path`, replacing it.
  package static func write(_ samples: [Sample], to path: String) throws {
    var text = "path,identity,camera\n"
    for sample in samples { text += "\(CSVTable.quoted(sample.path)),\(sample.identity),\(sample.camera)\n" }
    do {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      throw Failure.data("\(path): cannot be written")
    }
  }

  /// Every JPEG of `folder` itself, in the order of the names. Identity and camera are those of a Market-1501 name
  /// (junk stays, as −1), and −1 where the name tells none.
  package static func images(inFolder folder: String) throws -> [Sample] {
    try ImageFolder.names(in: folder).map { file in
      let name = MarketName(file)
      return Sample(path: joinPath(folder, file), identity: name?.identity ?? -1, camera: name?.camera ?? -1)
    }
  }

  private static func integer(_ text: String, _ column: String, _ place: String) throws -> Int {
    if let value = Int(text) { return value }
    throw Failure.data("\(place): \(column) is \"\(text)\", expected an integer")
  }
}
