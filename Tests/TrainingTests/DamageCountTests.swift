import Dataset
import TestSupport
import Testing
import Training

@Suite struct DamageCountTests {
  private func batch(_ damaged: Range<Int>) -> ImageBatch {
    ImageBatch(
      pixels: [], height: 1, width: 1, samples: [], rows: [],
      damaged: damaged.map { .init(index: $0, path: "\($0).jpg", reason: "\($0).jpg: empty") })
  }

  @Test func moreThanAFifthOfAnEpoch() throws {
    var count = DamageCount(of: 100)
    try count.add(batch(0..<15), epoch: 0)
    try count.add(batch(15..<20), epoch: 0)
    // Another epoch is counted anew.
    try count.add(batch(20..<40), epoch: 1)
    let message = message(.data) { try count.add(batch(40..<41), epoch: 1) }
    #expect(
      message == "21 of the 100 images that an epoch draws here cannot be decoded; the first is 20.jpg: empty")
  }

  /// Drawn again and again, as they are in a small set.
  @Test func singleImagesEndNothing() throws {
    var count = DamageCount(of: 8)
    for _ in 0..<20 { try count.add(batch(0..<DamageCount.fewest - 1), epoch: 0) }
    #expect(throws: (any Error).self) { try count.add(batch(9..<10), epoch: 0) }
  }
}
