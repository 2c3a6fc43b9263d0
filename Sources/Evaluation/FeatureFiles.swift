import Foundation
import Storage
import Tensors

/// Features on disk: `NAME.npy` with one row an image, and beside it `NAME.csv` with the header
/// `path,identity,camera` and a line for each row, in the same order.
package enum FeatureFiles {
  /// The label file beside a feature file: `Q.npy` → `Q.csv`.
  package static func labelPath(of path: String) -> String {
    (path.hasSuffix(".npy") ? String(path.dropLast(4)) : path) + ".csv"
  }

  /// Reads `path` (.npy), without labels.
  ///
  /// - Throws: `Failure.data` that names the file: it is missing or damaged, or a feature is not finite.
  package static func matrix(_ path: String) throws -> FeatureMatrix {
    let matrix = try NPY.read(path)
    if let row = matrix.firstNonFiniteRow() {
      throw Failure.data(path, "row \(row) (counted from 0) holds an infinity or a NaN")
    }
    return matrix
  }

  /// Reads `path` (.npy) and the labels beside it. The columns of the CSV are found by the names in its first line;
  /// others than `path`, `identity` and `camera` are ignored.
  ///
  /// - Parameter identity: the column that has the identity; `group` where groups of people are to be found again.
  /// - Throws: `Failure.data` that names the file, and the line or row: a file that is missing or damaged, a number
  ///   that is none, labels and rows of different number, a feature that is not finite.
  package static func read(_ path: String, identity: String = "identity") throws -> LabelledFeatures {
    let matrix = try matrix(path)
    let labels: CSVTable
    do {
      labels = try CSVTable(path: labelPath(of: path))
    } catch let failure as Failure {
      throw Failure(failure.kind, "\(failure.message) (the labels of \(path): path,\(identity),camera)")
    }
    let column = try labels.column("path")
    let identities = try labels.integers(identity), cameras = try labels.integers("camera")
    guard labels.count == matrix.rows else {
      throw Failure.data(labels.path, "labels \(labels.count) rows, but \(path) has \(matrix.rows)")
    }
    let paths = try (0..<labels.count).map { try labels.text($0, column) }
    return try LabelledFeatures(name: path, matrix: matrix, paths: paths, identities: identities, cameras: cameras)
  }

  /// Writes `path` (.npy, float32) and the labels beside it.
  ///
  /// - Parameter groups: of each row, for a column `group` (see `lineup groups`).
  /// - Throws: `Failure.usage` if `path` does not end in .npy; `Failure.data` if there is no feature, or one is not finite,
  ///   with its image; `Failure.internal` that names the file if one cannot be written.
  package static func write(_ features: LabelledFeatures, groups: [Int]? = nil, to path: String) throws {
    guard path.hasSuffix(".npy") else { throw Failure.usage(path, "features are written to a file named *.npy") }
    guard features.matrix.rows > 0 else { throw Failure.data(path, "not written, there are no features") }
    if let row = features.matrix.firstNonFiniteRow() {
      throw Failure.data(path, "not written, the feature of \(features.paths[row]) holds an infinity or a NaN")
    }
    var text = "path,identity,camera\(groups == nil ? "" : ",group")\n"
    for row in 0..<features.matrix.rows {
      text += "\(CSVTable.field(features.paths[row])),\(features.identities[row]),\(features.cameras[row])"
      text += groups.map { ",\($0[row])\n" } ?? "\n"
    }
    try AtomicFiles.write(to: path) { file in
      try NPY.write(features.matrix, to: file)
      // The new features stand aside, and nothing is at `path` while the labels change: a crash never leaves features
      // beside labels of others.
      unlink(path)
      try AtomicFiles.write(text, to: labelPath(of: path))
    }
  }
}
