import Foundation
import Tensors

/// A user's own data: a CSV file with the columns `path,identity,camera,split` (further ones are passed over).
///
/// Paths are relative to the folder of the CSV file. The split is `train`, `query` or `gallery`; a split may be
/// absent. Identities and cameras are integers, or, where one in the column is not, any strings, which are numbered
/// from 1 in sorted order. Identity 0 is a person like any other here; rows of a negative identity are dropped.
enum OwnData {
  static func open(csv: String) throws -> ReIDDataset {
    let table = try CSVTable(path: csv)
    let path = try table.column("path"), split = try table.column("split")
    let identities = try numbers(table, "identity"), cameras = try numbers(table, "camera")
    let folder = csv.contains("/") ? String(csv[..<csv.lastIndex(of: "/")!]) : ""
    var splits: [String: [Sample]] = ["train": [], "query": [], "gallery": []]
    for (row, (identity, camera)) in zip(table.rows, zip(identities, cameras)) {
      let name = row.fields[split]
      guard splits[name] != nil else {
        throw Failure.data("\(csv):\(row.line): split is \"\(name)\", expected train, query or gallery")
      }
      if row.fields[path].isEmpty { throw Failure.data("\(csv):\(row.line): path is empty") }
      if identity < 0 { continue }
      let sample = Sample(path: joinPath(folder, row.fields[path]), identity: identity, camera: camera)
      if splits[name]!.isEmpty && !FileManager.default.fileExists(atPath: sample.path) {
        throw Failure.data("\(csv):\(row.line): \(sample.path) does not exist")
      }
      splits[name]!.append(sample)
    }
    if splits.values.allSatisfy(\.isEmpty) { throw Failure.data("\(csv): no image in it") }
    return ReIDDataset(
      name: "own data", root: csv, train: splits["train"]!, query: splits["query"]!, gallery: splits["gallery"]!)
  }

  /// The column's integers, or the ranks of its strings.
  private static func numbers(_ table: CSVTable, _ name: String) throws -> [Int] {
    let column = try table.column(name)
    for row in table.rows where row.fields[column].isEmpty {
      throw Failure.data("\(table.path):\(row.line): \(name) is empty")
    }
    let values = table.rows.map { $0.fields[column] }
    let integers = values.compactMap { Int($0) }
    if integers.count == values.count { return integers }
    let ranks = Dictionary(uniqueKeysWithValues: Set(values).sorted().enumerated().map { ($1, $0 + 1) })
    return values.map { ranks[$0]! }
  }
}
