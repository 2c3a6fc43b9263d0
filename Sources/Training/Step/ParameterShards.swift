/// What of the parameters this rank's optimizer moves, and where the moments of each part stand: all parameters, or those
/// parts whose gradients this rank has the sums of.
package struct ParameterShards: Sendable, Equatable {
  /// Ascending, none of them empty.
  package let ranges: [Range<Int>]
  /// Where the moments of each begin.
  private let starts: [Int]
  /// Of all parts together.
  package let count: Int

  package init(_ ranges: [Range<Int>]) {
    self.ranges = ranges.filter { !$0.isEmpty }
    var count = 0
    starts = self.ranges.map { range in
      defer { count += range.count }
      return count
    }
    self.count = count
  }

  /// The parts of `range`, each with the place of its moments.
  package func parts(of range: Range<Int>) -> [(range: Range<Int>, moments: Int)] {
    zip(ranges, starts).compactMap { shard, start in
      let part = shard.clamped(to: range)
      return part.isEmpty ? nil : (part, start + part.lowerBound - shard.lowerBound)
    }
  }
}
