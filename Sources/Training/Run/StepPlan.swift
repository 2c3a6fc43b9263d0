import Collectives
import Dataset
import Tensors

/// What rank 0 tells every rank before a step. The protocol, for each step t:
///
/// 1. Rank 0 draws the batch of step t + 1, or none after the last step.
/// 2. It broadcasts a `StepPlan`: where step t stands, its learning rate and loss scale, the digest of its batch (which was
///    announced with step t − 1, or before the first step), and the batch of step t + 1.
/// 3. Every rank compares the digest with that of the batch it holds (sample numbers, file names, identities) and the
///    loss scale with its own. Ranks that see another data set or have drifted apart stop here, with a line.
/// 4. Every rank hands its share of the batch of step t + 1 to its loader, which decodes it meanwhile.
/// 5. Every rank takes its share of the batch of step t from the loader and computes the step.
package struct StepPlan: Equatable, Sendable {
  /// Steps done before this one.
  package var step: Int
  /// Epoch, and step in the epoch; from 0.
  package var epoch: Int, index: Int
  package var learningRate: Double
  package var lossScale: Double
  package var digest: UInt64
  /// The batch of the next step, or nil.
  package var next: AnnouncedBatch?

  /// As 64-bit words, the same on every machine.
  package var words: [UInt64] {
    [UInt64(step), UInt64(epoch), UInt64(index), learningRate.bitPattern, lossScale.bitPattern, digest]
      + (next.map { $0.words } ?? [])
  }

  package init(
    step: Int, epoch: Int, index: Int, learningRate: Double, lossScale: Double, digest: UInt64, next: AnnouncedBatch?
  ) {
    self.step = step
    self.epoch = epoch
    self.index = index
    self.learningRate = learningRate
    self.lossScale = lossScale
    self.digest = digest
    self.next = next
  }

  package init(words: [UInt64]) {
    self.init(
      step: Int(words[0]), epoch: Int(words[1]), index: Int(words[2]), learningRate: Double(bitPattern: words[3]),
      lossScale: Double(bitPattern: words[4]), digest: words[5],
      next: words.count > 6 ? AnnouncedBatch(words: Array(words[6...])) : nil)
  }
}

/// A global batch by the numbers of its samples in the training list.
package struct AnnouncedBatch: Equatable, Sendable {
  package var epoch: Int
  /// The place of the batch's first sample in the epoch's sequence.
  package var firstPosition: Int
  package var samples: [Int]

  package init(epoch: Int, firstPosition: Int, samples: [Int]) {
    (self.epoch, self.firstPosition, self.samples) = (epoch, firstPosition, samples)
  }

  package var words: [UInt64] { [UInt64(epoch), UInt64(firstPosition)] + samples.map { UInt64($0) } }

  package init(words: [UInt64]) {
    self.init(epoch: Int(words[0]), firstPosition: Int(words[1]), samples: words[2...].map { Int($0) })
  }

  /// FNV-1a over the sample numbers and what this rank's data set has there: file names, identities and faces.
  package func digest(_ training: [Sample]) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    for word in words { withUnsafeBytes(of: word.littleEndian) { $0.forEach(mix) } }
    for index in samples where training.indices.contains(index) {
      let sample = training[index]
      (sample.path.split(separator: "/").last ?? "").utf8.forEach(mix)
      withUnsafeBytes(of: Int64(sample.identity).littleEndian) { $0.forEach(mix) }
      sample.face?.words.utf8.forEach(mix)
    }
    return hash
  }
}
