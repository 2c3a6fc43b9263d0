import Tensors

/// Batches of P identities with K images each.
///
/// A batch depends on (seed, epoch, index) alone, so any one can be computed by itself, on any rank and after a
/// resume. The epoch's order of the identities is drawn at position −1, a batch at the position of its index.
///
/// An identity with fewer than K images gives each of them, in random order, before one is repeated.
package struct IdentitySampler: Sendable {
  /// Which identities come together.
  package enum Scheme: String, Sendable, CaseIterable {
    /// Each identity is in turn the first of a batch, and the other P − 1 are drawn at random among the rest. As
    /// many batches an epoch as identities, which come in a new random order every epoch. (AdaptiveReID, MSGR.)
    case paper
    /// The identities are shuffled and taken P at a time. Where they do not come out even, the last batch is
    /// filled up with identities drawn at random among the others, so that none is left out.
    case shuffled
  }

  private let scheme: Scheme
  private let seed: UInt64
  /// P and K.
  private let identityCount: Int, imageCount: Int
  /// The indices of each identity's samples, identities in ascending order.
  private let groups: [[Int]]

  /// How many batches an epoch has.
  package let batchesPerEpoch: Int

  /// `identities` is P and `images` is K of the global batch; throws `Failure.usage` where they do not fit `samples`.
  package init(samples: [Sample], identities: Int, images: Int, scheme: Scheme, seed: UInt64) throws {
    if identities < 1 { throw Failure.usage("sampling.identities is \(identities), expected 1 or more") }
    if images < 1 { throw Failure.usage("sampling.images is \(images), expected 1 or more") }
    let byIdentity = Dictionary(grouping: samples.indices) { samples[$0].identity }
    groups = byIdentity.sorted { $0.key < $1.key }.map(\.value)
    if identities > groups.count {
      throw Failure.usage("sampling.identities is \(identities), but only \(groups.count) identities are trained on")
    }
    self.scheme = scheme
    self.seed = seed
    identityCount = identities
    imageCount = images
    switch scheme {
    case .paper: batchesPerEpoch = groups.count
    case .shuffled: batchesPerEpoch = (groups.count + identities - 1) / identities
    }
  }

  /// P·K indices into the samples, the K of one identity after each other. `index` is below `batchesPerEpoch`.
  package func batch(epoch: Int, index: Int) -> [Int] {
    precondition(index >= 0 && index < batchesPerEpoch)
    var order = Array(groups.indices)
    var epochRandom = CounterRandom(seed: seed, epoch: epoch, position: -1, purpose: .sampling)
    epochRandom.shuffle(&order)

    var random = CounterRandom(seed: seed, epoch: epoch, position: index, purpose: .sampling)
    let first = scheme == .paper ? index : index * identityCount
    let given = scheme == .paper ? 1 : min(identityCount, order.count - first)
    // The given ones to the front, then the others by the first steps of a Fisher–Yates shuffle: all distinct.
    for i in 0..<given { order.swapAt(i, first + i) }
    for i in given..<identityCount { order.swapAt(i, i + random.integer(below: order.count - i)) }
    return order[..<identityCount].flatMap { images(of: groups[$0], &random) }
  }

  /// K of `group`, each of them as often as any other, give or take one.
  private func images(of group: [Int], _ random: inout CounterRandom) -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(imageCount)
    var group = group
    while result.count < imageCount {
      random.shuffle(&group)
      result += group.prefix(imageCount - result.count)
    }
    return result
  }
}
