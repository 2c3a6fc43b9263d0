import Dataset
import Tensors
import Testing

@Suite struct SetSamplerTests {
  /// 20 identities of 4 images each, then 3 of another data set.
  private let samples: [Sample] = (0..<23).flatMap { identity in
    (0..<4).map { Sample(path: "\(identity)-\($0)", identity: identity, camera: $0) }
  }

  private func sampler(
    _ share: SetSampler.Share, _ scheme: IdentitySampler.Scheme = .shuffled, sizes: [Int] = [80, 12],
    identities: Int = 5
  ) throws -> SetSampler {
    try SetSampler(
      samples: samples, sizes: sizes, share: share, identities: identities, images: 2, scheme: scheme, seed: 9)
  }

  @Test(arguments: IdentitySampler.Scheme.allCases) func balancedBatchesHaveBothSets(scheme: IdentitySampler.Scheme)
    throws
  {
    let sampler = try sampler(.balanced, scheme)
    #expect(sampler.batchesPerEpoch == (try self.sampler(.bySize, scheme)).batchesPerEpoch)
    var seen: Set<Int> = []
    for epoch in 0..<3 {
      for index in 0..<sampler.batchesPerEpoch {
        let batch = sampler.batch(epoch: epoch, index: index)
        let identities = batch.map { samples[$0].identity }
        #expect(batch.count == 10)
        #expect(Set(identities).count == 5)
        #expect(Set(identities.filter { $0 < 20 }).count == 3)
        #expect(stride(from: 0, to: 10, by: 2).allSatisfy { identities[$0] == identities[$0 + 1] })
        seen.formUnion(identities)
        #expect(sampler.batch(epoch: epoch, index: index) == batch)
      }
    }
    #expect(seen.count == 23)
  }

  @Test func oneSetOrBySizeIsAsBefore() throws {
    let plain = try IdentitySampler(samples: samples, identities: 5, images: 2, scheme: .shuffled, seed: 9)
    for sampler in [try sampler(.bySize), try sampler(.balanced, sizes: [92])] {
      #expect(
        (0..<plain.batchesPerEpoch).allSatisfy {
          sampler.batch(epoch: 1, index: $0) == plain.batch(epoch: 1, index: $0)
        })
    }
  }

  @Test func setsThatDoNotFitAreNamed() throws {
    let few = failure { _ = try sampler(.balanced, identities: 1) }
    #expect(
      few.message.contains("sampling.identities is 1, but balanced batches of 2 data sets have one of each at least"))
    let small = failure { _ = try sampler(.balanced, identities: 8) }
    #expect(small.message.contains("sampling.identities is 4, but only 3 identities"))
  }
}
