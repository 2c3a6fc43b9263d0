import Dataset
import Foundation
import Storage
import Tensors

extension Agreement {
  /// The splits of a data set: names, sizes, identities and cameras of the images, in order, and what is in a sample of
  /// them.
  /// - Throws: `Failure.data` where images are missing here, or cannot be read.
  package mutating func add(_ dataset: ReIDDataset, _ splits: [ReIDDataset.Split], _ watchdog: Watchdog?) throws {
    for part in try dataset.survey(of: splits, progress: { watchdog?.beat() }).parts {
      add("the \(part.split.rawValue) images", digest: "\(part.count), \(part.digest)", .data) {
        dataset.listing(of: part.split)
      }
      add("the content of the \(part.split.rawValue) images (a sample)", digest: part.content, .data) {
        try dataset.content(of: part.split)
      }
    }
  }

  /// A list of images: names below `folder`, identities and cameras, in order, and what is in a sample of them.
  package mutating func add(_ samples: [Sample], below folder: String) throws {
    func lines() -> [String] {
      samples.map { "\($0.path(below: folder)) (\($0.labels))" }
    }
    add(
      "the images", digest: "\(samples.count), \(try SHA256.digest(of: lines().joined(separator: "\n")))", .data,
      of: lines)
    let content = try ContentSample.lines(of: samples, below: folder)
    add(
      "the content of the images (a sample)", digest: try SHA256.digest(of: content.joined(separator: "\n")), .data,
      of: { content })
  }

  package mutating func add(_ checkpoint: Checkpoint) throws {
    add("the checkpoint's manifest (SHA-256)", try SHA256.digest(ofFile: checkpoint.manifestPath).sha256, .data)
    add("the checkpoint's step", checkpoint.state.step, .data)
  }
}
