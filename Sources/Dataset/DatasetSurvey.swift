import Storage
import Tensors

/// What a data set looks like from here: the same on every host that has the same copy of it, wherever that lies.
///
/// To read all images of all hosts would take minutes on a network file system. Copies that differ in more than single
/// images show in a sample of them.
package struct DatasetSurvey: Sendable, Equatable {
  package struct Part: Sendable, Equatable {
    package let split: ReIDDataset.Split
    /// Images.
    package let count: Int
    /// SHA-256 of path below the data set's folder, size of the file, identity, camera, track and face of each image, in order.
    package let digest: String
    /// SHA-256 of the lines of `ContentSample`.
    package let content: String
  }

  /// Of the splits asked for, in their order.
  package let parts: [Part]
}

extension ReIDDataset {
  /// Asks the file system for the size of every listed image, and reads a sample of each split.
  ///
  /// - Parameter progress: called after every image, by any thread.
  /// - Throws: `Failure.data` where images are missing (or are no files): how many of each split, and the first of them; and
  ///   where one of the sample cannot be read.
  package func survey(of splits: [Split] = Split.allCases, progress: () -> Void = {}) throws -> DatasetSurvey {
    let base = folder
    var parts: [(split: Split, digest: String)] = [], gaps: [String] = []
    for split in splits {
      var listed: [UInt8] = [], missing: [String] = []
      for (sample, size) in zip(self[split], Folder.sizes(of: self[split].map(\.path), progress: progress)) {
        guard let size else {
          missing.append(sample.path)
          continue
        }
        let isBelow = sample.path.hasPrefix(base)
        listed += isBelow ? sample.path.utf8.dropFirst(base.utf8.count) : sample.path.utf8[...]
        for number in [0, size, sample.identity, sample.camera, sample.track ?? -1] {
          withUnsafeBytes(of: Int64(number).littleEndian) { listed += $0 }
        }
        if let face = sample.face { listed += face.words.utf8 }
      }
      let digest = try listed.withUnsafeBytes { try SHA256.digest(of: $0) }
      parts.append((split, digest))
      guard let first = missing.first else { continue }
      let further = missing.count > 1 ? ", then \(missing[1])" : ""
      let count = "\(missing.count) of \(self[split].count) images \(missing.count == 1 ? "is" : "are") missing"
      gaps.append("\(split.rawValue): \(count), the first is \(first)\(further)")
    }
    guard gaps.isEmpty else { throw Failure.data(root, "\(gaps.joined(separator: "; "))") }
    return DatasetSurvey(
      parts: try parts.map { split, digest in
        let content = try content(of: split, progress: progress).joined(separator: "\n")
        return .init(
          split: split, count: self[split].count, digest: digest, content: try SHA256.digest(of: content))
      })
  }

  /// What the content of a split stands for, a line an image of the sample.
  package func content(of split: Split, progress: () -> Void = {}) throws -> [String] {
    try ContentSample.lines(of: self[split], below: folder, progress: progress)
  }

  /// What the digest of a split stands for, a line an image.
  package func listing(of split: Split) -> [String] {
    let base = folder
    return self[split].map { sample in
      let path = sample.path(below: base)
      let size = InputFile.size(sample.path).map { "\($0) bytes" } ?? "missing"
      return "\(path) (\(sample.labels), \(size))"
    }
  }

  /// What relative paths count from, with a slash at its end, or empty: the root, or the folder of the CSV file.
  private var folder: String {
    if InputFile.isFolder(root) { return root.hasSuffix("/") ? root : root + "/" }
    return root.lastIndex(of: "/").map { String(root[...$0]) } ?? ""
  }
}
