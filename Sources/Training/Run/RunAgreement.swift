import Dataset
import Foundation
import Storage
import Tensors

extension Agreement {
  /// The data set's splits in their order, and the checkpoint.
  package mutating func add(_ dataset: ReIDDataset?, _ checkpoint: Checkpoint?) throws {
    if let dataset {
      for split in ReIDDataset.Split.allCases {
        try add(dataset[split], "the \(split.rawValue) images", below: dataset.root)
      }
    }
    if let checkpoint {
      add("the checkpoint's manifest (SHA-256)", try SHA256.digest(ofFile: checkpoint.manifestPath).sha256, .data)
      add("the checkpoint's step", checkpoint.state.step, .data)
    }
  }

  /// A list of images: names from `root` on, identities and cameras, in order.
  package mutating func add(_ samples: [Sample], _ name: String, below root: String) throws {
    func lines() -> [String] {
      samples.map { sample in
        let path = sample.path.hasPrefix(root) ? String(sample.path.dropFirst(root.count)) : sample.path
        return "\(path) of identity \(sample.identity), camera \(sample.camera)"
      }
    }
    var text = lines().joined(separator: "\n")
    let digest = try text.withUTF8 { try SHA256.digest(of: UnsafeRawBufferPointer($0)) }
    add(name, digest: "\(samples.count), \(digest)", .data, of: lines)
  }
}
