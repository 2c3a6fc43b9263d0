import Dataset
import Tensors
import Testing

@Suite struct IdentitySamplerTests {
  /// Identity 10·i has i images, interleaved so that no identity's indices are consecutive.
  private let samples: [Sample] = (1...9).flatMap { round in
    (round...9).map { Sample(path: "\($0)-\(round)", identity: $0 * 10, camera: 1) }
  }

  private func sampler(
    _ p: Int, _ k: Int, _ scheme: IdentitySampler.Scheme, seed: UInt64 = 3
  ) throws -> IdentitySampler {
    try IdentitySampler(samples: samples, identities: p, images: k, scheme: scheme, seed: seed)
  }

  @Test(arguments: IdentitySampler.Scheme.allCases, [(1, 1), (3, 4), (4, 4), (9, 2)])
  func batchesAreDistinctIdentitiesInGroups(scheme: IdentitySampler.Scheme, size: (Int, Int)) throws {
    let (p, k) = size
    let sampler = try sampler(p, k, scheme)
    for epoch in 0..<5 {
      for index in 0..<sampler.batchesPerEpoch {
        let batch = sampler.batch(epoch: epoch, index: index).map { samples[$0] }
        #expect(batch.count == p * k)
        var seen: Set<Int> = []
        for start in stride(from: 0, to: p * k, by: k) {
          let group = batch[start..<(start + k)]
          #expect(Set(group.map(\.identity)).count == 1)
          #expect(seen.insert(group.first!.identity).inserted)
          // With n images of the identity, each comes ⌊k/n⌋ or ⌈k/n⌉ times.
          let available = group.first!.identity / 10
          let uses = Dictionary(grouping: group, by: \.path).mapValues(\.count)
          #expect(uses.count == min(k, available))
          #expect(uses.values.allSatisfy { $0 == k / available || $0 == (k + available - 1) / available })
        }
      }
    }
  }

  @Test func paperSchemeStartsABatchWithEachIdentityOnce() throws {
    let sampler = try sampler(4, 2, .paper)
    #expect(sampler.batchesPerEpoch == 9)
    let firsts = (0..<2).map { epoch in
      (0..<9).map { samples[sampler.batch(epoch: epoch, index: $0)[0]].identity }
    }
    #expect(firsts[0].sorted() == Array(stride(from: 10, through: 90, by: 10)))
    #expect(firsts[1].sorted() == firsts[0].sorted())
    #expect(firsts[0] != firsts[1])
  }

  /// P, K, and the batches of an epoch counted by hand: with K = 2 the identities have 1 1 1 2 2 3 3 4 4 groups.
  @Test(arguments: [(2, 2, 10), (4, 2, 5), (6, 2, 3), (9, 2, 1), (1, 3, 14), (3, 1, 15)])
  func randomIdentityGivesAnImageAtMostOnce(p: Int, k: Int, batches: Int) throws {
    let sampler = try sampler(p, k, .randomIdentity)
    #expect(sampler.batchesPerEpoch == batches)
    var seen = [Int](repeating: 0, count: samples.count)
    for epoch in 0..<60 {
      let drawn = (0..<batches).flatMap { sampler.batch(epoch: epoch, index: $0) }
      let uses = Dictionary(grouping: drawn, by: { $0 }).mapValues(\.count)
      #expect(uses.allSatisfy { $1 == 1 || samples[$0].identity / 10 < k })
      for image in uses.keys { seen[image] += 1 }
    }
    // Those that are left out differ from epoch to epoch.
    #expect(seen.allSatisfy { $0 > 0 })
    let first = (0..<batches).map { sampler.batch(epoch: 0, index: $0) }
    #expect(first != (0..<batches).map { sampler.batch(epoch: 1, index: $0) })
    #expect(first.reversed() == (0..<batches).reversed().map { sampler.batch(epoch: 0, index: $0) })
  }

  @Test func paperSchemeDrawsTheOthersEvenly() throws {
    let sampler = try sampler(3, 1, .paper)
    var counts: [Int: Int] = [:]
    for epoch in 0..<500 {
      for index in 0..<9 {
        for sample in sampler.batch(epoch: epoch, index: index).dropFirst() {
          counts[samples[sample].identity, default: 0] += 1
        }
      }
    }
    // 9,000 draws among 9 identities: 1,000 each, standard deviation about 30.
    #expect(counts.count == 9 && counts.values.allSatisfy { abs($0 - 1000) < 150 })
  }

  @Test func shuffledSchemeTakesEachIdentityAndFillsTheLastBatch() throws {
    let sampler = try sampler(4, 2, .shuffled)
    #expect(sampler.batchesPerEpoch == 3)
    for epoch in 0..<10 {
      let identities = (0..<3).flatMap { index in
        sampler.batch(epoch: epoch, index: index).map { samples[$0].identity }
      }
      let uses = Dictionary(grouping: identities) { $0 }.mapValues { $0.count / 2 }
      #expect(uses.count == 9)
      #expect(uses.values.reduce(0, +) == 12)
      #expect(uses.values.allSatisfy { $0 == 1 || $0 == 2 })
    }
    #expect(try self.sampler(3, 2, .shuffled).batchesPerEpoch == 3)
  }

  @Test(arguments: IdentitySampler.Scheme.allCases)
  func anyBatchCanBeComputedAloneAndDependsOnSeedAndEpoch(scheme: IdentitySampler.Scheme) throws {
    let a = try sampler(3, 4, scheme), b = try sampler(3, 4, scheme), other = try sampler(3, 4, scheme, seed: 4)
    let forward = (0..<a.batchesPerEpoch).map { a.batch(epoch: 7, index: $0) }
    let backward = (0..<b.batchesPerEpoch).reversed().map { b.batch(epoch: 7, index: $0) }
    #expect(forward == backward.reversed())
    #expect(forward != (0..<a.batchesPerEpoch).map { a.batch(epoch: 8, index: $0) })
    #expect(forward != (0..<a.batchesPerEpoch).map { other.batch(epoch: 7, index: $0) })
  }

  @Test func impossibleSizesAreUsageFailures() {
    let many = failure { _ = try sampler(10, 4, .paper) }
    #expect(many.kind == .usage)
    #expect(many.message == "sampling.identities is 10, but only 9 identities are trained on")
    let none = failure { _ = try sampler(0, 4, .paper) }
    #expect(none.kind == .usage && none.message == "sampling.identities is 0, expected 1 or more")
    let images = failure { _ = try sampler(1, 0, .shuffled) }
    #expect(images.kind == .usage && images.message == "sampling.images is 0, expected 1 or more")
  }
}
