import Dataset
import Evaluation
import Foundation
import Storage
import Tensors

/// What becomes of an index when its gallery has changed: features of files that are as they were stay.
package struct IndexUpdate {
  package let samples: [Sample]
  private let names: LabelNames
  private let stamps: [FileStamp]
  private let old: GalleryIndex?
  /// The row of the old index that each sample's feature is in; nil where it has to be computed.
  private let oldRows: [Int?]
  /// The samples whose features have to be computed.
  package let pending: [Int]
  /// Of those, images that the old index had in another state; rows of it that are in it no more.
  package let changed: Int, gone: Int

  /// - Parameters:
  ///   - listing: the gallery, in the order of the rows to be.
  ///   - names: of its identities and cameras.
  ///   - old: of the same origin, where there is one.
  /// - Throws: `Failure.data` where an image is missing.
  package init(of listing: [Sample], named names: LabelNames = LabelNames(), _ old: GalleryIndex?) throws {
    self.names = names
    samples = listing.map { sample in
      // Wherever the next command is started.
      let path = URL(fileURLWithPath: sample.path).standardizedFileURL.path
      return Sample(path: path, identity: sample.identity, camera: sample.camera, face: sample.face)
    }
    stamps = try samples.map { sample in
      guard let stamp = FileStamp(sample.path) else { throw Failure.data(sample.path, "no such image file") }
      return stamp
    }
    self.old = old
    var known: [String: Int] = [:]
    for (row, sample) in (old?.samples ?? []).enumerated() { known[sample.path] = known[sample.path] ?? row }
    let places = samples.map { known[$0.path] }
    oldRows = zip(places, stamps).map { row, stamp in row.flatMap { old?.stamps[$0] == stamp ? $0 : nil } }
    pending = oldRows.indices.filter { [oldRows] in oldRows[$0] == nil }
    changed = pending.count { places[$0] != nil }
    let listed = Set(samples.map(\.path))
    gone = (old?.samples ?? []).count { !listed.contains($0.path) }
  }

  /// Whether the old index has the same rows with the same labels.
  package var isNothing: Bool { old.map { $0.samples == samples && $0.names == names && pending.isEmpty } ?? false }

  /// Writes the index: the old rows, and `features` of the pending samples.
  /// - Parameters:
  ///   - features: as the network has them. (rows, columns)
  ///   - rows: the row of `features` of each of `pending`; nil for an image that could not be decoded, which is left out.
  ///   - faiss: also as a file that FAISS reads.
  /// - Returns: the number of rows.
  @discardableResult
  package func write(
    to folder: String, _ features: FeatureMatrix, rows: [Int?], metric: DistanceMetric, origin: FeatureOrigin,
    faiss: Bool
  ) throws -> Int {
    precondition(rows.count == pending.count)
    let new = metric == .cosine ? features.unitRows : features
    let newRows = Dictionary(
      uniqueKeysWithValues: zip(pending, rows).compactMap { pair in pair.1.map { (pair.0, $0) } })
    let kept = samples.indices.filter { oldRows[$0] != nil || newRows[$0] != nil }
    let columns = old?.features.columns ?? new.columns
    guard new.rows == 0 || new.columns == columns else {
      throw Failure.internal(folder, "new features have \(new.columns) elements, the old ones \(columns)")
    }
    try AtomicFiles.writeDirectory(folder) { aside in
      try AtomicFiles.write(to: "\(aside)/\(GalleryIndex.featuresFile)", synced: false) { file in
        try NPY.writeHeader(rows: kept.count, columns: columns, to: file)
        var row = [Float](repeating: 0, count: columns)
        for index in kept {
          try row.withUnsafeMutableBufferPointer { row in
            if let place = newRows[index] {
              new.read(place..<place + 1, into: row.baseAddress!)
            } else {
              try old!.features.read(oldRows[index]!..<oldRows[index]! + 1, into: row.baseAddress!)
            }
            try file.write(UnsafeRawBufferPointer(row))
          }
        }
      }
      try AtomicFiles.write(to: "\(aside)/\(GalleryIndex.labelsFile)", synced: false) { file in
        try file.write("path,identity,camera,bytes,modified\n")
        for index in kept {
          let (sample, stamp) = (samples[index], stamps[index])
          try file.write(
            "\(CSVTable.field(sample.path)),\(sample.identity),\(sample.camera),\(stamp.bytes),\(stamp.modified)\n")
        }
      }
      if faiss {
        let features = try NPYFile("\(aside)/\(GalleryIndex.featuresFile)")
        try FAISSFile.write(features, metric, to: "\(aside)/\(GalleryIndex.faissFile)")
      }
      let description = GalleryIndex.Description(
        rows: kept.count, columns: columns, metric: metric, origin: origin, names: names.isEmpty ? nil : names)
      try AtomicFiles.write(
        json: description, escapingSlashes: false, to: "\(aside)/\(GalleryIndex.descriptionFile)")
    }
    return kept.count
  }
}
