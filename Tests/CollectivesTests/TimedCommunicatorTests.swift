import Collectives
import Foundation
import Tensors
import Testing

@Suite struct TimedCommunicatorTests {
  /// Every call does what it does without the timeline, and leaves one span with its bytes.
  @Test(arguments: 1...3) func callsPassThroughAndAreRecorded(_ size: Int) throws {
    _ = try ThreadCommunicator.run(size) { base in
      let timeline = Timeline()
      let timed = TimedCommunicator(base, timeline)
      #expect(
        timed.rank == base.rank && timed.size == size && timed.isCoordinator == base.isCoordinator)
      let rank = Double(timed.rank)
      let ranks = Double(size)
      let all = ranks * (ranks + 1) / 2
      func span() throws -> String {
        let spans = timeline.take()
        #expect(
          spans.count == 1 && spans.allSatisfy { $0.activity == .collective && $0.lane == .step })
        return try #require(spans.first).name
      }

      var sum = [rank + 1, -rank - 1, 0.5]
      var max = [rank, -rank]
      try timed.allreduce(&sum, .sum)
      #expect(sum == [all, -all, 0.5 * ranks])
      #expect(try span() == "allreduce 24 B")
      try timed.allreduce(&max, .max)
      #expect(max == [ranks - 1, 0])
      #expect(try span() == "allreduce 16 B")

      let floats = Buffer<Float>([Float(rank + 1), 2])
      try timed.allreduce(floats.span)
      #expect(floats.array == [Float(all), 2 * Float(size)])
      #expect(try span() == "allreduce 8 B")
      let halves = Buffer<Float16>([Float16(rank + 1), 2, 3])
      try timed.allreduce(halves.span)
      #expect(halves.array == [Float16(all), 2 * Float16(size), 3 * Float16(size)])
      #expect(try span() == "allreduce 6 B")

      for root in 0..<size {
        var bytes = [UInt8](repeating: UInt8(timed.rank), count: 5)
        try bytes.withUnsafeMutableBytes { try timed.broadcast($0, from: root) }
        #expect(bytes == [UInt8](repeating: UInt8(root), count: 5))
        #expect(try span() == "broadcast 5 B")
      }

      let counts = (0..<size).map { $0 + 1 }
      let total = counts.reduce(0, +)
      let mine = [UInt8](repeating: UInt8(timed.rank), count: timed.rank + 1)
      var gathered = [UInt8](repeating: 255, count: total)
      try mine.withUnsafeBytes { mine in
        try gathered.withUnsafeMutableBytes { try timed.allgather(mine, counts: counts, into: $0) }
      }
      #expect(gathered == counts.enumerated().flatMap { [UInt8](repeating: UInt8($0), count: $1) })
      #expect(try span() == "allgather \(total) B")

      try timed.barrier()
      #expect(try span().hasPrefix("barrier"))
    }
  }

  /// A barrier is one: what was written before it is there after it.
  @Test func barriersWait() throws {
    let board = Buffer<Int>(count: 3)
    let wrong = try ThreadCommunicator.run(3) { base in
      let timed = TimedCommunicator(base, Timeline())
      var wrong = 0
      for round in 1...60 {
        board[base.rank] = round
        try timed.barrier()
        for rank in 0..<3 where board[rank] != round { wrong += 1 }
        try timed.barrier()
      }
      return wrong
    }
    #expect(wrong == [0, 0, 0])
  }

  /// The duplicate is for another thread, which has a lane of its own: it does not write into the step's.
  @Test func theDuplicateIsIndependentAndNotTimed() throws {
    _ = try ThreadCommunicator.run(2) { base in
      let timeline = Timeline()
      let timed = TimedCommunicator(base, timeline)
      let other = try timed.duplicate()
      #expect(other.rank == base.rank && other.size == 2 && !(other is TimedCommunicator))
      var first = [1.0]
      var second = [10.0]
      try other.barrier()
      try timed.allreduce(&second, .sum)
      try other.allreduce(&first, .sum)
      #expect(first == [2] && second == [20])
      #expect(timeline.take().map(\.name) == ["allreduce 8 B"])
    }
  }

  /// Errors come through, with their span.
  @Test func errorsComeThrough() {
    let seen = Buffer<Int>(count: 2)
    let error = #expect(throws: Failure.self) {
      _ = try ThreadCommunicator.run(2) { base in
        if base.rank == 1 { throw Failure.data("gone") }
        let timeline = Timeline()
        let timed = TimedCommunicator(base, timeline)
        defer { seen[0] = timeline.take().count }
        try timed.barrier()
      }
    }
    #expect(error?.message == "gone" && seen.array == [1, 0])
  }

  /// `agree` and the conveniences work on top of it.
  @Test func agreementsWork() throws {
    let results = try ThreadCommunicator.run(2) { base in
      let timed = TimedCommunicator(base, Timeline())
      #expect(throws: AgreedFailure.self) {
        try timed.agree { if timed.rank == 1 { throw Failure.usage("no") } }
      }
      let text = try timed.broadcast(timed.isCoordinator ? [1, 2, 3] : [])
      return try timed.allgather([Int](repeating: timed.rank, count: timed.rank + text.count))
    }
    #expect(results == [[[0, 0, 0], [1, 1, 1, 1]], [[0, 0, 0], [1, 1, 1, 1]]])
  }
}
