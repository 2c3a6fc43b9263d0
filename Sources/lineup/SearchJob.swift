import ArgumentParser
import Collectives
import Dataset
import Evaluation
import Retrieval
import Storage
import Tensors
import Training

/// What the commands that search with a checkpoint have in common.
enum SearchJob {
  /// A gallery whose features a configuration allows to search by.
  static func gallery(_ images: String, _ configuration: Configuration) throws -> SearchedGallery {
    guard configuration.data.faces.test == .clear else {
      throw Failure.usage(
        "data.faces.test is blurred, but of the images that are searched by nobody says where faces are; "
          + "--set data.faces.test=clear")
    }
    return try SearchedGallery(at: images)
  }

  /// What makes the features of a job.
  static func origin(_ checkpoint: Checkpoint, _ configuration: Configuration) throws -> FeatureOrigin {
    let keys = try configuration.values().filter { key, _ in
      key.hasPrefix("input.") || key.hasPrefix("precision.") || ["evaluation.flip", "evaluation.metric"].contains(key)
    }
    return FeatureOrigin(
      checkpoint: checkpoint.folder, manifest: try SHA256.digest(ofFile: checkpoint.manifestPath).sha256,
      settings: Dictionary(uniqueKeysWithValues: keys.map { ($0.key, $0.value) }))
  }
}

extension CheckpointedJob {
  /// - Throws: `Failure.usage` or `Failure.data` where `index` is not of what `extractor` embeds by.
  func require<E: Element>(_ index: GalleryIndex, of extractor: FeatureExtractor<E>) throws {
    try index.description.origin.require(SearchJob.origin(checkpoint, configuration), of: index.folder)
    guard index.features.columns == extractor.columns, index.metric == configuration.evaluation.metric else {
      throw Failure.data(
        index.folder,
        "features of \(index.features.columns) elements, \(index.metric.rawValue); "
          + "its checkpoint's have \(extractor.columns), \(configuration.evaluation.metric.rawValue)")
    }
  }
}
