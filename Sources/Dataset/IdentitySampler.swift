import Tensors

/// Batches of P identities with K images each.
///
/// A batch depends on (seed, epoch, index) alone, so any one can be computed by itself, on any rank and after a
/// resume. The epoch's order of the identities is drawn at position −1, a batch at the position of its index, and with
/// `randomIdentity` the order of identity i's images at −2 − i.
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
    /// The field's RandomIdentitySampler (Hermans et al., 2017; torchreid, fast-reid, TransReID): each identity's images are
    /// shuffled and cut into groups of K (a tail below K is left out, an identity with fewer than K gives one group), and each
    /// batch takes a group of P identities: an image comes at most once an epoch. Theirs goes on until fewer than P identities
    /// are left, which is a matter of chance; here as many batches are made as can be, so that a run's length is known.
    case randomIdentity

    package var meaning: String {
      switch self {
      case .paper:
        "each identity is once an epoch the first of a batch, the others drawn at random; as many batches an epoch as identities"
      case .shuffled: "the identities are shuffled and taken P at a time"
      case .randomIdentity:
        "the field's RandomIdentitySampler, every image about once an epoch: each identity's in groups of K, P identities at a time"
      }
    }
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
    case .randomIdentity:
      // An identity is in a batch at most once: b batches have room for min(c_i, b) of identity i's c_i groups.
      let rounds = groups.map { max(1, $0.count / images) }
      let most = max(1, rounds.reduce(0, +) / identities)
      batchesPerEpoch = (1...most).last { b in rounds.reduce(0) { $0 + min($1, b) } >= identities * b }!
    }
  }

  /// P·K indices into the samples, the K of one identity after each other. `index` is below `batchesPerEpoch`.
  package func batch(epoch: Int, index: Int) -> [Int] {
    precondition(index >= 0 && index < batchesPerEpoch)
    var order = Array(groups.indices)
    var epochRandom = CounterRandom(seed: seed, epoch: epoch, position: -1, purpose: .sampling)
    epochRandom.shuffle(&order)

    var random = CounterRandom(seed: seed, epoch: epoch, position: index, purpose: .sampling)
    if scheme == .randomIdentity { return deal(order, index, epoch, &epochRandom, &random) }
    let first = scheme == .paper ? index : index * identityCount
    let given = scheme == .paper ? 1 : min(identityCount, order.count - first)
    // The given ones to the front, then the others by the first steps of a Fisher–Yates shuffle: all distinct.
    for i in 0..<given { order.swapAt(i, first + i) }
    for i in given..<identityCount { order.swapAt(i, i + random.integer(below: order.count - i)) }
    return order[..<identityCount].flatMap { images(of: groups[$0], &random) }
  }

  /// The groups of the identities in `order`, laid one after the other, are dealt to the batches in turn: no batch gets two of
  /// one identity, which has no more than there are batches, and each gets P or more, of which it keeps P.
  private func deal(
    _ order: [Int], _ index: Int, _ epoch: Int, _ epochRandom: inout CounterRandom, _ random: inout CounterRandom
  ) -> [Int] {
    var columns = Array(0..<batchesPerEpoch)
    epochRandom.shuffle(&columns)
    var dealt: [(identity: Int, round: Int)] = [], next = 0
    for identity in order {
      let rounds = min(max(1, groups[identity].count / imageCount), batchesPerEpoch)
      let round = (columns[index] - next % batchesPerEpoch + batchesPerEpoch) % batchesPerEpoch
      if round < rounds { dealt.append((identity, round)) }
      next += rounds
    }
    random.shuffle(&dealt)
    return dealt.prefix(identityCount).flatMap { identity, round in
      var images = CounterRandom(seed: seed, epoch: epoch, position: -2 - identity, purpose: .sampling)
      if groups[identity].count < imageCount { return self.images(of: groups[identity], &images) }
      var group = groups[identity]
      images.shuffle(&group)
      return Array(group[round * imageCount..<(round + 1) * imageCount])
    }
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
