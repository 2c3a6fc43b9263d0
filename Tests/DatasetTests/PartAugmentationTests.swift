import Dataset
import Tensors
import Testing

@Suite struct PartAugmentationTests {
  private let half: Transforms = {
    var transforms = Transforms(height: 32, width: 16, erasingProbability: 0.5)
    transforms.partProbability = 0.5
    return transforms
  }()

  private func part(_ position: Int) -> BodyPart { half.part(seed: 4, epoch: 1, position: position) }

  @Test func halfOfTheImagesAreCutToAnyOfTheParts() {
    let parts = (0..<1200).map(part)
    // 600 and six times 100 expected, standard deviations 17 and 10.
    #expect((540...660).contains(parts.count { $0 == .whole }))
    for part in BodyPart.allCases where part != .whole { #expect((60...140).contains(parts.count { $0 == part })) }
    #expect((0..<50).allSatisfy { Transforms(height: 32, width: 16).part(seed: 4, epoch: 1, position: $0) == .whole })
  }

  /// What comes after the cut is what would come after it of a file that shows the part alone: crop, mirror and erased rectangle
  /// stay where they are.
  @Test func aPartIsAugmentedAsAnImageOfIts() {
    let image = formulaImage(width: 20, height: 50)
    var usual = half
    usual.partProbability = 0
    for position in 0..<60 {
      let seen = half.augmented(image, seed: 4, epoch: 1, position: position)
      #expect(seen == usual.augmented(part(position).cropped(image), seed: 4, epoch: 1, position: position))
    }
  }

  /// Every row comes with its part, a mixed one with its partner's, too; an image that is not augmented is whole.
  @Test func batchesTellTheParts() throws {
    try withFolder { folder in
      let samples = try pictures(folder, 8, width: 20, height: 40)
      try put("no image", folder + "/bad.jpg")
      let bad = Sample(path: folder + "/bad.jpg", identity: 9, camera: 1)
      var transforms = half
      transforms.mixUp = MixUp(.beta)
      let loader = BatchLoader(threads: 2, seed: 4)
      var request = BatchRequest(
        samples: [bad] + samples, positions: Array(39..<48), epoch: 1, transforms: transforms, augment: true,
        onDamage: .skip)
      (request.donors, request.firstDonor) = (samples, 40)
      loader.submit(request)
      let batch = try loader.next()
      #expect(batch.rows == Array(1...8) && batch.parts == (40..<48).map(part) && Set(batch.parts).count > 2)
      for mixed in batch.mixes {
        let mixed = try #require(mixed)
        #expect(mixed.part == part(40 + mixed.sample.identity))
      }
      loader.submit(BatchRequest(samples: samples, transforms: transforms))
      #expect(try loader.next().parts == samples.map { _ in .whole })
    }
  }
}
