import Storage
import Tensors

/// A user's own data: a CSV file with the columns `path,identity,camera,split` (further ones are passed over).
///
/// Paths are relative to the folder of the CSV file. The split is `train`, `query` or `gallery`; a split may be
/// absent. Identities and cameras are integers, or, where one in the column is not, names, which are numbered
/// from 1 in sorted order (`CSVTable.labels`). Identity 0 is a person like any other here; rows of a negative identity
/// are dropped.
///
/// An image stands once in a split, always with the same identity and camera, and what is trained on is not searched for.
enum OwnData {
  static func open(csv: String) throws -> ReIDDataset {
    let table = try CSVTable(path: csv)
    let path = try table.column("path"), split = try table.column("split")
    let (identities, mixedIdentities) = try table.labels("identity"),
      (cameras, mixedCameras) = try table.labels("camera")
    let folder = csv.contains("/") ? String(csv[..<csv.lastIndex(of: "/")!]) : ""
    var splits: [String: [Sample]] = ["train": [], "query": [], "gallery": []]
    var rows: [String: [Image: Int]] = ["train": [:], "query": [:], "gallery": [:]]
    for row in 0..<table.count {
      let name = try table.text(row, split).trimmed, file = try table.text(row, path)
      guard splits[name] != nil else {
        let shown = Printable.line(name, limit: 60)
        throw table.failure(row, "split is \"\(shown)\", expected train, query or gallery")
      }
      if file.isEmpty { throw table.failure(row, "path is empty") }
      if identities[row] < 0 { continue }
      let sample = Sample(path: joinPath(folder, file), identity: identities[row], camera: cameras[row])
      let image = Image(sample.path)
      for (before, rows) in rows {
        guard let other = rows[image] else { continue }
        let isSame = identities[other] == identities[row] && cameras[other] == cameras[row]
        // A query may stand in the gallery, where its own camera does not count.
        if isSame && before != name && before != "train" && name != "train" { continue }
        let what = isSame ? "for \(before)" : "with another identity or camera"
        let shown = Printable.line(file, limit: 200)
        throw table.failure(row, "\(shown) is listed in line \(table.line(of: other)) too, \(what)")
      }
      rows[name]![image] = row
      if splits[name]!.isEmpty, case .missing = image {
        throw table.failure(row, "\(sample.path) does not exist")
      }
      splits[name]!.append(sample)
    }
    if splits.values.allSatisfy(\.isEmpty) { throw Failure.data(csv, "no image in it") }
    return ReIDDataset(
      name: "own data", root: csv, train: splits["train"]!, query: splits["query"]!, gallery: splits["gallery"]!,
      warnings: [mixedIdentities, mixedCameras].compactMap { $0 })
  }

  /// `a.jpg`, `./a.jpg`, its absolute path and a link to it are one.
  private enum Image: Hashable {
    case file(FileIdentity), missing(String)

    init(_ path: String) { self = FileIdentity(path).map(Image.file) ?? .missing(path) }
  }
}
