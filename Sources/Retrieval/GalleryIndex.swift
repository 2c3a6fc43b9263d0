import Dataset
import Evaluation
import Foundation
import Storage
import Tensors

/// Features of a gallery in a folder, whole or not at all:
///
///     features.npy    float32 (rows, columns), of unit length where `metric` is the cosine
///     features.csv    path,identity,camera of each row, and bytes and modified of its file when it was read
///     index.json      how many rows, of what length, which metric, what made them (`FeatureOrigin`), and what the numbers of
///                     identities and cameras stand for where they were names
///     index.faiss     where asked for: the same features as a flat index that `faiss.read_index` reads
///
/// Paths are absolute. `lineup score` takes features.npy as it is.
package struct GalleryIndex: Sendable {
  package struct Description: Codable, Sendable, Equatable {
    package var version = Description.currentVersion
    package static let currentVersion = 1
    package let rows: Int, columns: Int
    /// A `DistanceMetric`.
    package let metric: String
    package let origin: FeatureOrigin
    /// nil where identities and cameras are numbers.
    package let names: LabelNames?

    package init(rows: Int, columns: Int, metric: DistanceMetric, origin: FeatureOrigin, names: LabelNames? = nil) {
      (self.rows, self.columns, self.metric, self.origin) = (rows, columns, metric.rawValue, origin)
      self.names = names
    }
  }

  static let featuresFile = "features.npy", labelsFile = "features.csv", descriptionFile = "index.json"
  static let faissFile = "index.faiss"

  package let folder: String
  package let description: Description
  package let metric: DistanceMetric
  package let features: NPYFile
  /// What each row is of.
  package let samples: [Sample]
  /// The files when they were read.
  let stamps: [FileStamp]
  package var names: LabelNames { description.names ?? LabelNames() }
  package var hasFAISS: Bool { InputFile.size("\(folder)/\(Self.faissFile)") != nil }

  /// Whether there is an index in `folder`.
  package static func isAt(_ folder: String) -> Bool { InputFile.size("\(folder)/\(descriptionFile)") != nil }

  /// The files that an index in `folder` has, or could have.
  package static func files(in folder: String) -> [String] {
    [featuresFile, labelsFile, descriptionFile, faissFile].map { "\(folder)/\($0)" }
  }

  /// Opens the index in `folder`; rows are read when they are asked for.
  /// - Throws: `Failure.data` that names the file for one that is missing, damaged, or does not fit the others.
  package init(_ folder: String) throws {
    let path = "\(folder)/\(Self.descriptionFile)"
    let description = try Self.description(path)
    guard let metric = DistanceMetric(rawValue: description.metric) else {
      throw Failure.data(path, "metric \"\(Printable.line(description.metric, limit: 60))\" is not known")
    }
    let features = try NPYFile("\(folder)/\(Self.featuresFile)")
    guard features.rows == description.rows, features.columns == description.columns, features.columns > 0 else {
      throw Failure.data(
        features.path,
        "\(features.rows) × \(features.columns), but \(Self.descriptionFile) says \(description.rows) × \(description.columns)"
      )
    }
    let table = try CSVTable(path: "\(folder)/\(Self.labelsFile)"), column = try table.column("path")
    guard table.count == features.rows else {
      throw Failure.data(table.path, "labels \(table.count) rows, but \(Self.featuresFile) has \(features.rows)")
    }
    let identities = try table.integers("identity"), cameras = try table.integers("camera")
    samples = try (0..<table.count).map { row in
      Sample(path: try table.text(row, column), identity: identities[row], camera: cameras[row])
    }
    stamps = zip(try table.integers("bytes"), try table.integers("modified")).map(FileStamp.init)
    (self.folder, self.description, self.metric, self.features) = (folder, description, metric, features)
  }

  private static func description(_ path: String) throws -> Description {
    struct Format: Decodable { let version: Int }
    let bytes = Foundation.Data(try InputFile.read(path, limit: 1 << 20))
    if let version = (try? JSONDecoder().decode(Format.self, from: bytes))?.version,
      version != Description.currentVersion
    {
      throw Failure.data(path, "format version \(version); this Lineup reads \(Description.currentVersion)")
    }
    guard let description = try? JSONDecoder().decode(Description.self, from: bytes) else {
      throw Failure.data(path, "not the description of an index that this version reads")
    }
    return description
  }
}

/// By which a file that has changed is told: its size, and when it was last written to.
package struct FileStamp: Sendable, Equatable {
  let bytes: Int
  /// Nanoseconds since 1970.
  let modified: Int

  init(bytes: Int, modified: Int) { (self.bytes, self.modified) = (bytes, modified) }

  /// nil where there is no regular file.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    self.init(bytes: Int(status.st_size), modified: status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec)
  }
}
