import Dataset
import Tensors

/// The damaged images among those that this rank draws in an epoch.
///
/// Single ones are left out of their batches. Where a rank can decode few of its images (a disk that returns zeros), the
/// batches of all ranks shrink without an error: more than a fifth, as in an evaluation, ends the run.
package struct DamageCount {
  /// Fewer different images than this are single ones, however small the set.
  package static let fewest = 10

  private let drawn: Int
  private var epoch = -1
  private var count = 0
  private var images: Set<String> = []
  private var first = ""

  /// - Parameter images: what this rank draws in an epoch.
  package init(of images: Int) { drawn = images }

  /// Takes note of a batch of `epoch`.
  /// - Throws: `Failure.data` that names the first damaged image of the epoch, where they have become too many.
  package mutating func add(_ batch: ImageBatch, epoch: Int) throws {
    if epoch != self.epoch { (self.epoch, count, images) = (epoch, 0, []) }
    for damage in batch.damaged {
      if count == 0 { first = damage.reason }
      count += 1
      images.insert(damage.path)
    }
    guard count * 5 > drawn, images.count >= Self.fewest else { return }
    throw Failure.data(
      "\(count) of the \(drawn) images that an epoch draws here cannot be decoded; the first is \(first)")
  }
}
