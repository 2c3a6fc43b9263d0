import Dataset
import Foundation
import Storage
import Tensors

extension Agreement {
  /// The splits of a data set: names, sizes, identities and cameras of the images, in order.
  /// - Throws: `Failure.data` where images are missing here.
  package mutating func add(_ dataset: ReIDDataset, _ splits: [ReIDDataset.Split], _ watchdog: Watchdog?) throws {
    for part in try dataset.survey(of: splits, progress: { watchdog?.beat() }).parts {
      add("the \(part.split.rawValue) images", digest: "\(part.count), \(part.digest)", .data) {
        dataset.listing(of: part.split)
      }
    }
  }

  /// A list of images: names below `folder`, identities and cameras, in order.
  package mutating func add(_ samples: [Sample], below folder: String) throws {
    func lines() -> [String] {
      samples.map { sample in
        let path = sample.path.hasPrefix(folder) ? String(sample.path.dropFirst(folder.count)) : sample.path
        return "\(path) (identity \(sample.identity), camera \(sample.camera))"
      }
    }
    var text = lines().joined(separator: "\n")
    let digest = try text.withUTF8 { try SHA256.digest(of: UnsafeRawBufferPointer($0)) }
    add("the images", digest: "\(samples.count), \(digest)", .data, of: lines)
  }

  package mutating func add(_ checkpoint: Checkpoint) throws {
    add("the checkpoint's manifest (SHA-256)", try SHA256.digest(ofFile: checkpoint.manifestPath).sha256, .data)
    add("the checkpoint's step", checkpoint.state.step, .data)
  }
}
