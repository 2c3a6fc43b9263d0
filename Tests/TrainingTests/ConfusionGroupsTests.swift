import Collectives
import Testing

import Training

@Suite struct ConfusionGroupsTests {
  /// Six classes in three pairs that are confused, out of order.
  private static let pairs = [[0, 4], [1, 3], [2, 5]]

  private static func confusion(_ strengths: [Double] = [0.3, 0.2, 0.1]) -> [Double] {
    var values = [Double](repeating: 0.01, count: 36)
    for (pair, strength) in zip(pairs, strengths) {
      values[pair[0] * 6 + pair[1]] = strength
      values[pair[1] * 6 + pair[0]] = strength
    }
    return values
  }

  @Test func theConfusedComeTogether() {
    let groups = ConfusionGroups(Self.confusion(), classes: 6)
    #expect(groups.groups(3) == [0, 1, 2, 1, 0, 2])
    #expect(ConfusionGroups(Self.confusion([0.1, 0.2, 0.3]), classes: 6).groups(3) == [2, 1, 0, 1, 2, 0])
    #expect(abs(groups.within([0, 1, 2, 1, 0, 2]) - 1.2 / (1.2 + 24 * 0.01)) < 1e-12)
    #expect(groups.within([0, 0, 0, 0, 0, 0]) == 1)
  }

  /// Every group has a class, none more than 1.1 times the mean size or the mean rounded up.
  @Test(arguments: [1, 2, 3, 4, 5, 6]) func sizesAreBounded(_ count: Int) {
    let found = ConfusionGroups(Self.confusion(), classes: 6).groups(count)
    let sizes = (0..<count).map { group in found.count { $0 == group } }
    #expect(sizes.allSatisfy { $0 > 0 && $0 <= max((6 + count - 1) / count, Int(1.1 * 6 / Double(count))) })
    #expect(sizes.reduce(0, +) == 6)
  }

  /// From probabilities: the mean over a class's images, symmetric; images on any number of ranks.
  @Test(arguments: [1, 2, 3]) func ranksSeeTheSame(_ ranks: Int) throws {
    let rows = [[0.6, 0.3, 0.1], [0.8, 0.0, 0.2], [0.1, 0.9, 0.0], [0.25, 0.25, 0.5]], labels = [0, 0, 1, 2]
    let found = try ThreadCommunicator.run(ranks) { communicator in
      let own = Share.rows(4, communicator)
      return try ConfusionGroups(
        Array(rows[own].joined()), of: Array(labels[own]), classes: 3, communicator
      ).within([0, 0, 1])
    }
    // S_01 = ½(0.15 + 0.1), S_02 = ½(0.15 + 0.25), S_12 = ½(0 + 0.25)
    #expect(found.allSatisfy { abs($0 - 0.125 / (0.125 + 0.2 + 0.125)) < 1e-9 } && Set(found).count == 1)
  }
}
