import Tensors

/// Batches of what one or several data sets have to train on.
///
/// A batch depends on (seed, epoch, index) alone, as those of `IdentitySampler`.
package struct SetSampler: Sendable {
  /// What share of a batch each data set has.
  package enum Share: String, CaseIterable, Sendable {
    case bySize, balanced

    package var meaning: String {
      switch self {
      case .bySize: "identities of all of them are drawn alike"
      case .balanced: "each gives as many identities to a batch as any other, give or take one, however small it is"
      }
    }
  }

  /// Of one data set, or of all in one.
  private struct Part { let sampler: IdentitySampler, first: Int }
  private let parts: [Part]
  /// As many as with `bySize`, so that a run is no longer or shorter by the share.
  package let batchesPerEpoch: Int

  /// - Parameter sizes: how many of `samples` each data set has, one after the other; their identities differ.
  /// - Throws: `Failure.usage` where P and K do not fit the images.
  package init(
    samples: [Sample], sizes: [Int], share: Share, identities: Int, images: Int, scheme: IdentitySampler.Scheme,
    seed: UInt64
  ) throws {
    precondition(sizes.reduce(0, +) == samples.count)
    let whole = try IdentitySampler(
      samples: samples, identities: identities, images: images, scheme: scheme, seed: seed)
    batchesPerEpoch = whole.batchesPerEpoch
    guard share == .balanced && sizes.count > 1 else {
      parts = [Part(sampler: whole, first: 0)]
      return
    }
    guard identities >= sizes.count else {
      throw Failure.usage(
        "sampling.identities is \(identities), but balanced batches of \(sizes.count) data sets have one of each at least"
      )
    }
    var parts: [Part] = [], first = 0
    for (index, size) in sizes.enumerated() {
      let own = identities / sizes.count + (index < identities % sizes.count ? 1 : 0)
      let sampler = try IdentitySampler(
        samples: Array(samples[first..<first + size]), identities: own, images: images, scheme: scheme,
        seed: seed &+ UInt64(index))
      parts.append(Part(sampler: sampler, first: first))
      first += size
    }
    self.parts = parts
  }

  /// P·K indices into the samples, the K of one identity after each other. A data set with fewer batches begins an epoch of its
  /// own whenever it is through.
  package func batch(epoch: Int, index: Int) -> [Int] {
    parts.flatMap { part in
      let count = part.sampler.batchesPerEpoch
      let number =
        parts.count == 1 ? (epoch, index) : (epoch * batchesPerEpoch + index).quotientAndRemainder(dividingBy: count)
      return part.sampler.batch(epoch: number.0, index: number.1).map { part.first + $0 }
    }
  }
}
