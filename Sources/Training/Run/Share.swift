import Collectives
import Layers

/// Which rows of a global batch, list or matrix a rank takes: contiguous shares.
///
/// A batch is shared out in whole groups of four images where there are enough of them for every rank, because weight
/// gradients are summed by such groups (`WeightGradientPass`): then they do not depend on the number of ranks.
package enum Share {
  package static func rows(_ count: Int, rank: Int, of size: Int) -> Range<Int> {
    rank * count / size..<(rank + 1) * count / size
  }

  package static func rows(_ count: Int, _ communicator: any Communicator) -> Range<Int> {
    rows(count, rank: communicator.rank, of: communicator.size)
  }

  package static func batch(_ count: Int, _ communicator: any Communicator) -> Range<Int> {
    batch(count, rank: communicator.rank, of: communicator.size)
  }

  private static func batch(_ count: Int, rank: Int, of size: Int) -> Range<Int> {
    let group = WeightGradients.groupImages, groups = (count + group - 1) / group
    guard groups >= size else { return rows(count, rank: rank, of: size) }
    let own = rows(groups, rank: rank, of: size)
    return own.lowerBound * group..<min(count, own.upperBound * group)
  }

  /// The most images of a batch that one of `ranks` ranks takes.
  package static func largest(of count: Int, ranks: Int) -> Int {
    (0..<ranks).map { batch(count, rank: $0, of: ranks).count }.max() ?? 0
  }
}
