import Collectives

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
    let group = 4, groups = (count + group - 1) / group
    guard groups >= communicator.size else { return rows(count, communicator) }
    let own = rows(groups, communicator)
    return own.lowerBound * group..<min(count, own.upperBound * group)
  }
}
