import Storage
import Tensors

/// Some images of a list, the same ones wherever the list is the same, read whole: copies of a data set can have the same
/// names and sizes, and other pixels.
package enum ContentSample {
  /// As many of a list; of a shorter one all.
  package static let size = 64

  /// Path and SHA-256 of each, spread evenly over the list.
  /// - Parameters:
  ///   - folder: what paths are shown below.
  ///   - progress: called after every image.
  /// - Throws: `Failure.data` with the path of one that cannot be read.
  package static func lines(of samples: [Sample], below folder: String, progress: () -> Void = {}) throws -> [String] {
    let count = min(size, samples.count)
    return try (0..<count).map { index in
      defer { progress() }
      let sample = samples[index * samples.count / count]
      return "\(sample.path(below: folder)) (SHA-256 \(try SHA256.digest(ofFile: sample.path).sha256.prefix(16))…)"
    }
  }
}

extension Sample {
  /// Its path without `folder`, where it lies below that.
  package func path(below folder: String) -> String {
    path.hasPrefix(folder) ? String(path.dropFirst(folder.count)) : path
  }

  /// What is said of it, for lists that are compared.
  package var labels: String {
    "identity \(identity), camera \(camera)" + (face.map { ", face \($0.words)" } ?? "")
  }
}
