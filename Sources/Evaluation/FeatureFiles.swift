import Foundation
import Tensors

/// Features on disk: `NAME.npy` with one row an image, and beside it `NAME.csv` with the header
/// `path,identity,camera` and a line for each row, in the same order.
package enum FeatureFiles {
  /// The label file beside a feature file: `Q.npy` → `Q.csv`.
  package static func labelPath(of path: String) -> String {
    (path.hasSuffix(".npy") ? String(path.dropLast(4)) : path) + ".csv"
  }

  /// Reads `path` (.npy) and the labels beside it. The columns of the CSV are found by the names in its first line;
  /// others than `path`, `identity` and `camera` are ignored.
  ///
  /// - Throws: `Failure.data` that names the file, and the line or row: a file that is missing or damaged, a number
  ///   that is none, labels and rows of different number, a feature that is not finite.
  package static func read(_ path: String) throws -> LabelledFeatures {
    let matrix = try NPY.read(path)
    if let row = matrix.firstNonFiniteRow() {
      throw Failure.data("\(path): row \(row) (counted from 0) holds an infinity or a NaN")
    }
    let labelPath = labelPath(of: path)
    guard let labels = FileManager.default.contents(atPath: labelPath) else {
      throw Failure.data("\(labelPath): cannot be read (the identities and cameras of \(path))")
    }
    let records = try CSV.records(of: [UInt8](labels), path: labelPath)
    guard let header = records.first else {
      throw Failure.data("\(labelPath): is empty; its first line should be path,identity,camera")
    }
    let columns = try ["path", "identity", "camera"].map { name in
      guard let column = header.fields.firstIndex(of: name) else {
        throw Failure.data("\(labelPath), line \(header.line): no column '\(name)'; it should be path,identity,camera")
      }
      return column
    }
    guard records.count - 1 == matrix.rows else {
      throw Failure.data("\(labelPath): labels \(records.count - 1) rows, but \(path) has \(matrix.rows)")
    }

    var paths: [String] = [], identities: [Int32] = [], cameras: [Int32] = []
    for record in records.dropFirst() {
      guard record.fields.count == header.fields.count else {
        throw Failure.data(
          "\(labelPath), line \(record.line): \(record.fields.count) fields where the header has "
            + "\(header.fields.count)")
      }
      func number(_ column: Int, _ name: String) throws -> Int32 {
        guard let number = Int32(record.fields[column].trimmingCharacters(in: .whitespaces)) else {
          throw Failure.data("\(labelPath), line \(record.line): \(name) '\(record.fields[column])' is not a number")
        }
        return number
      }
      paths.append(record.fields[columns[0]])
      identities.append(try number(columns[1], "identity"))
      cameras.append(try number(columns[2], "camera"))
    }
    return try LabelledFeatures(name: path, matrix: matrix, paths: paths, identities: identities, cameras: cameras)
  }

  /// Writes `path` (.npy, float32) and the labels beside it.
  ///
  /// - Throws: `Failure.usage` if `path` does not end in .npy; `Failure.internal` that names the file if one cannot be
  ///   written.
  package static func write(_ features: LabelledFeatures, to path: String) throws {
    guard path.hasSuffix(".npy") else { throw Failure.usage("\(path): features are written to a file named *.npy") }
    var text = "path,identity,camera\n"
    for row in 0..<features.matrix.rows {
      text += "\(CSV.field(features.paths[row])),\(features.identities[row]),\(features.cameras[row])\n"
    }
    try NPY.write(features.matrix, to: path)
    let labelPath = labelPath(of: path)
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: labelPath), options: .atomic)
    } catch {
      throw Failure.internal("\(labelPath): cannot be written: \((error as NSError).localizedDescription)")
    }
  }
}
