import Dataset
import Tensors
import Testing

/// Training identities set aside.
@Suite struct HeldOutTests {
  /// Ten identities of two cameras with three images, the last two of one camera alone.
  private static func samples(_ folder: String = "f", tracks: Bool = false) -> [Sample] {
    (1...10).flatMap { identity in
      (0..<3).map {
        Sample(
          path: "\(folder)/\(identity)-\($0).jpg", identity: identity, camera: identity > 8 ? 5 : $0 % 2,
          track: tracks ? identity : nil, face: tracks ? Rectangle(top: 1, left: 2, height: 3, width: 4) : nil)
      }
    }
  }

  @Test func identitiesOfSeveralCamerasAreDrawn() throws {
    let samples = Self.samples(), divided = try HeldOut(samples, share: 0.3, seed: 1)
    let out = Set(divided.heldOut.map(\.identity))
    #expect(out.count == 3 && out.isSubset(of: Set(1...8)))
    #expect(divided.train + divided.heldOut != samples && Set(divided.train + divided.heldOut) == Set(samples))
    #expect(divided.train == samples.filter { !out.contains($0.identity) })
    // Whatever the order of the images; another with another seed.
    #expect(try Set(HeldOut(samples.reversed(), share: 0.3, seed: 1).heldOut) == Set(divided.heldOut))
    let draws = try (1...8).map { Set(try HeldOut(samples, share: 0.3, seed: $0).heldOut.map(\.identity)) }
    #expect(Set(draws).count > 4 && draws.allSatisfy { $0.isSubset(of: Set(1...8)) })
    #expect(try Set(HeldOut(samples, share: 0.01, seed: 1).heldOut.map(\.identity)).count == 2)
  }

  @Test(arguments: [false, true]) func whatIsWrittenIsADataSet(tracks: Bool) throws {
    try withFolder { folder in
      let samples = Self.samples(folder, tracks: tracks)
      for sample in samples { try touch(folder, String(sample.path.dropFirst(folder.count + 1))) }
      let divided = try HeldOut(samples, share: 0.3, seed: 2)
      try divided.write(to: folder + "/below.csv")
      let dataset = try ReIDDataset.open(at: folder + "/below.csv")
      #expect(dataset.train.map(\.identity) == divided.train.map(\.identity))
      #expect(dataset.train.map(\.camera) == divided.train.map(\.camera))
      #expect(Set((dataset.query + dataset.gallery).map(\.identity)) == Set(divided.heldOut.map(\.identity)))
      #expect(Set(dataset.query.map(\.identity)).count == 3 && dataset.train.allSatisfy { ($0.track != nil) == tracks })
      #expect(dataset.train.map(\.face) == divided.train.map(\.face))
    }
  }

  @Test func tooFewIdentitiesAreRefused() throws {
    let samples = Self.samples()
    for (few, share) in [
      (samples, 0.9), (samples.filter { $0.identity > 7 }, 0.3), ([], 0.5), (Array(samples[..<9]), 0.5),
    ] {
      #expect(failure { _ = try HeldOut(few, share: share, seed: 1) }.message.contains("too few"))
    }
  }
}
