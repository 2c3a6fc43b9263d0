import Evaluation
import Tensors

/// What made features: those of other networks, or of other settings, cannot be compared with them.
package struct FeatureOrigin: Codable, Sendable, Equatable {
  /// The checkpoint's folder, for people.
  package let checkpoint: String
  /// SHA-256 of the checkpoint's manifest, which has those of its files.
  package let manifest: String
  /// Keys of the configuration that change features, or how they are compared, with their values as YAML writes them.
  package let settings: [String: String]

  package init(checkpoint: String, manifest: String, settings: [String: String]) {
    (self.checkpoint, self.manifest, self.settings) = (checkpoint, manifest, settings)
  }

  /// - Parameter index: what has features of this origin.
  /// - Throws: `Failure.usage` with the checkpoint or the key that differs from `other`.
  package func require(_ other: FeatureOrigin, of index: String) throws {
    guard manifest == other.manifest else {
      throw Failure.usage(
        index,
        "its features are of \(checkpoint) (manifest \(manifest.prefix(12))), not of \(other.checkpoint) "
          + "(manifest \(other.manifest.prefix(12)))")
    }
    for key in Set(settings.keys).union(other.settings.keys).sorted() where settings[key] != other.settings[key] {
      let (mine, theirs) = (settings[key] ?? "not set", other.settings[key] ?? "not set")
      throw Failure.usage(
        index, "its features are of \(key)=\(mine), not \(theirs); --set \(key)=\(mine) asks for the same")
    }
  }
}
