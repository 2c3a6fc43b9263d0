/// What is the same in tensors that others have published and in those of a network.
package enum PublishedTensors {
  /// What wrappers put before the names of the network that they wrap.
  package static let wrappers = ["module.", "model.", "backbone.", "base."]

  /// The name without what stands before it, however often.
  package static func bare(_ name: String, without prefixes: [String] = wrappers) -> String {
    var bare = name[...]
    while let prefix = prefixes.first(where: { bare.hasPrefix($0) }) { bare = bare.dropFirst(prefix.count) }
    return String(bare)
  }

  /// Whether these are shapes of the same: a linear layer published as a 1×1 convolution, or the other way round, is the same
  /// matrix.
  package static func areAlike(_ shape: [Int], _ other: [Int]) -> Bool {
    shape == other || shape.filter { $0 != 1 } == other.filter { $0 != 1 }
  }
}
