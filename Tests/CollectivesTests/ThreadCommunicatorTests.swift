import Collectives
import Foundation
import Tensors
import Testing

@Suite struct ThreadCommunicatorTests {
  @Test(arguments: 1...4) func ranksAndSize(_ size: Int) throws {
    let seen = try ThreadCommunicator.run(size) { [$0.rank, $0.size, $0.isCoordinator ? 1 : 0] }
    #expect(seen == (0..<size).map { [$0, size, $0 == 0 ? 1 : 0] })
  }

  @Test(arguments: 1...4) func allreduceOfDoubles(_ size: Int) throws {
    let results = try ThreadCommunicator.run(size) { communicator in
      var sum = (0..<5).map { Double($0) + 0.1 * Double(communicator.rank) }
      var max = [Double(-communicator.rank), Double(communicator.rank), 3]
      try communicator.allreduce(&sum, .sum)
      try communicator.allreduce(&max, .max)
      var none: [Double] = []
      try communicator.allreduce(&none, .sum)
      return sum + max
    }
    // In the order of ranks.
    var expected: [Double] = [0, 1, 2, 3, 4]
    for rank in 1..<max(1, size) {
      for i in 0..<5 { expected[i] += Double(i) + 0.1 * Double(rank) }
    }
    expected += [0, Double(size - 1), max(3, Double(size - 1))]
    #expect(results.allSatisfy { $0 == expected })
  }

  @Test(arguments: 1...4) func allreduceOfFloats(_ size: Int) throws {
    let results = try ThreadCommunicator.run(size) { communicator in
      let values = Buffer<Float>((0..<1000).map { Float($0 * (communicator.rank + 1)) })
      try communicator.allreduce(values.span)
      return values.array
    }
    let factor = Float(size * (size + 1) / 2)
    #expect(results.allSatisfy { $0 == (0..<1000).map { Float($0) * factor } })
  }

  /// Each addition is made in float32 and rounded to float16: 2049 is not a float16, and rounds to even.
  @Test(arguments: 1...4) func allreduceOfHalves(_ size: Int) throws {
    let results = try ThreadCommunicator.run(size) { communicator in
      let values = Buffer<Float16>([2048, 1, -0.25])
      try communicator.allreduce(values.span)
      return values.array
    }
    for result in results { #expect(result == [Float16(2048 * size), Float16(size), -0.25 * Float16(size)]) }
    let rounded = try ThreadCommunicator.run(2) { communicator in
      let values = Buffer<Float16>([communicator.rank == 0 ? 2048 : 1])
      try communicator.allreduce(values.span)
      return values.array
    }
    #expect(rounded == [[2048], [2048]])
  }

  /// A duplicate has the same ranks, and its calls do not meet those of the original, whose order may differ.
  @Test(arguments: 1...4) func duplicatesAreIndependent(_ size: Int) throws {
    let results = try ThreadCommunicator.run(size) { communicator in
      let other = try communicator.duplicate(), another = try communicator.duplicate()
      #expect(other.rank == communicator.rank && other.size == size)
      var first = [1.0], second = [10.0], third = [100.0]
      try other.barrier()
      try another.allreduce(&third, .sum)
      try communicator.allreduce(&second, .sum)
      try other.allreduce(&first, .sum)
      return first[0] + second[0] + third[0]
    }
    #expect(results.allSatisfy { $0 == Double(111 * size) })
  }

  @Test(arguments: 1...4) func broadcastFromEveryRoot(_ size: Int) throws {
    let results = try ThreadCommunicator.run(size) { communicator in
      try (0..<size).map { root in
        var bytes = [UInt8](repeating: UInt8(10 * communicator.rank + root), count: 7)
        try bytes.withUnsafeMutableBytes { try communicator.broadcast($0, from: root) }
        return bytes
      }
    }
    #expect(results.allSatisfy { $0 == (0..<size).map { [UInt8](repeating: UInt8(11 * $0), count: 7) } })
  }

  /// The convenience form: other ranks need not know the length.
  @Test(arguments: 1...4) func broadcastOfAnyLength(_ size: Int) throws {
    for length in [0, 1, 1000] {
      let bytes = (0..<length).map { UInt8($0 % 251) }
      let results = try ThreadCommunicator.run(size) { try $0.broadcast($0.isCoordinator ? bytes : [9, 9]) }
      #expect(results.allSatisfy { $0 == bytes })
    }
  }

  /// Different counts, empty ranks among them; an element wider than a byte.
  @Test(arguments: [[3], [2, 5], [0, 4, 1], [4, 0, 0, 2], [0, 0, 0]]) func allgatherOfUnevenParts(_ counts: [Int])
    throws
  {
    let expected = counts.enumerated().map { rank, count in (0..<count).map { Double(100 * rank + $0) } }
    let results = try ThreadCommunicator.run(counts.count) { communicator in
      try communicator.allgather((0..<counts[communicator.rank]).map { Double(100 * communicator.rank + $0) })
    }
    #expect(results.allSatisfy { $0 == expected })
    let bytes = try ThreadCommunicator.run(counts.count) { communicator in
      let mine = [UInt8](repeating: UInt8(communicator.rank), count: counts[communicator.rank])
      var all = [UInt8](repeating: 255, count: counts.reduce(0, +))
      try mine.withUnsafeBytes { mine in
        try all.withUnsafeMutableBytes { try communicator.allgather(mine, counts: counts, into: $0) }
      }
      return all
    }
    #expect(bytes.allSatisfy { $0 == counts.enumerated().flatMap { [UInt8](repeating: UInt8($0), count: $1) } })
  }

  /// What a rank wrote before a barrier is there for all after it.
  @Test(arguments: 1...4) func barrierSeparatesRounds(_ size: Int) throws {
    let board = Buffer<Int>(count: size)
    let wrong = try ThreadCommunicator.run(size) { communicator in
      var wrong = 0
      for round in 1...200 {
        board[communicator.rank] = round
        try communicator.barrier()
        for rank in 0..<size where board[rank] != round { wrong += 1 }
        try communicator.barrier()
      }
      return wrong
    }
    #expect(wrong.allSatisfy { $0 == 0 })
  }

  @Test func manyCollectivesInARow() throws {
    let results = try ThreadCommunicator.run(4) { communicator in
      var total = 0.0
      for round in 0..<300 {
        var value = [Double(round + communicator.rank)]
        try communicator.allreduce(&value, round % 2 == 0 ? .sum : .max)
        total += value[0]
      }
      return total
    }
    var expected = 0.0
    for round in 0..<300 { expected += Double(round % 2 == 0 ? 4 * round + 6 : round + 3) }
    #expect(results.allSatisfy { $0 == expected })
  }

  @Test(arguments: [1, 2, 3, 5], [0, 1, 4, 17]) func shardsOfASum(_ ranks: Int, _ count: Int) throws {
    let found = try ThreadCommunicator.run(ranks) { communicator in
      var values = (0..<count).map { Float(communicator.rank * 100 + $0) / 3 }, whole = values
      try whole.withUnsafeMutableBufferPointer { try communicator.allreduce($0) }
      let shard = communicator.shard(of: count)
      try values.withUnsafeMutableBufferPointer { try communicator.reduceScatter($0) }
      let isSum = Array(values[shard]) == Array(whole[shard])
      for index in 0..<count where !shard.contains(index) { values[index] = -1 }
      try values.withUnsafeMutableBufferPointer { try communicator.allgather(shardsOf: $0) }
      return (shard: shard, isSum: isSum && values == whole)
    }
    let sums = found.map(\.isSum)
    #expect(sums == [Bool](repeating: true, count: ranks))
    #expect(found.flatMap { Array($0.shard) } == Array(0..<count))
  }
}
