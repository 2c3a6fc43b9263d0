import Collectives
import Foundation
import Layers
import Tensors
import Testing
import Training

/// Sums of gradient buckets over ranks, each a thread with a communication thread of its own.
@Suite struct GradientReducerTests {
  /// Those that make one sum a bucket; `IntegerWireTests` has the other.
  private static let plain = [Wire.float64, .float32, .float16]

  /// Numbers of both signs and several magnitudes, others on every rank and in every round.
  private static func values(_ count: Int, rank: Int, round: Int = 0, magnitude: Double = 1)
    -> [Double]
  {
    var random = CounterRandom(seed: 3, epoch: round, position: rank, purpose: .probing)
    return (0..<count).map { magnitude * random.normal() * ($0 % 3 == 0 ? 1 : 0x1p-6) }
  }

  /// What every rank holds after one round; on each, `tell` is the backward pass.
  private static func sums(
    _ parts: [[Double]], _ wire: Wire, bucket: Int,
    _ tell: @escaping @Sendable (ParameterGradients, Int) -> Void = { _, _ in }
  ) throws -> [[Double]] {
    try ThreadCommunicator.run(parts.count) { communicator in
      let gradients = ParameterGradients(count: parts[0].count)
      let reducer = try #require(
        try GradientReducer(
          gradients, wire: wire, bucketBytes: bucket * wire.width, communicator, Timeline()))
      try reducer.begin()
      for (i, value) in parts[communicator.rank].enumerated() { gradients.values[i] = value }
      tell(gradients, communicator.rank)
      try reducer.finish()
      return gradients.values.array
    }
  }

  /// In the order of ranks, as `ThreadCommunicator` adds.
  private static func plainSum(_ parts: [[Double]]) -> [Double] {
    parts.dropFirst().reduce(parts[0]) { total, next in zip(total, next).map { $0 + $1 } }
  }

  // MARK: - Buckets

  /// Sizes that divide the buffer, that do not, of one element, of all but one, and more than there is.
  @Test(arguments: 2...4, [1, 7, 25, 32, 99, 100, 101, 4000])
  func float64IsThePlainSum(_ ranks: Int, _ bucket: Int) throws {
    let parts = (0..<ranks).map { Self.values(100, rank: $0) }
    let all = try Self.sums(parts, .float64, bucket: bucket) { gradients, _ in
      for index in [90, 61, 60, 12] { gradients.complete(from: index) }
    }
    #expect(all.allSatisfy { $0 == Self.plainSum(parts) })
  }

  /// From the end, one beside the other, each once, by the duplicate, with a barrier before each.
  @Test(arguments: plain, [1, 7, 25, 100, 1000]) func bucketsCoverTheBuffer(
    _ wire: Wire, _ bucket: Int
  ) throws {
    let spans = try ThreadCommunicator.run(2) { communicator in
      let spy = SpyCommunicator(communicator)
      let timeline = Timeline()
      let gradients = ParameterGradients(count: 100)
      let bytes = bucket * wire.width
      let reducer = try #require(
        try GradientReducer(gradients, wire: wire, bucketBytes: bytes, spy, timeline))
      var expected: [(Int, Int)] = []
      var end = 100
      while end > 0 {
        expected.append((max(0, end - bucket), end))
        end = max(0, end - bucket)
      }
      for round in 1...2 {
        try reducer.begin()
        try reducer.finish()
        #expect(
          spy.calls.finished == round * expected.count
            && spy.calls.barriers == round * expected.count)
      }
      let base = UInt(bitPattern: gradients.values.pointer)
      for (call, (start, end)) in zip(spy.calls.sums, expected + expected) {
        #expect(call.count == end - start)
        if wire == .float64 { #expect(call.address == base + UInt(8 * start)) }
      }
      return timeline.take()
    }
    for spans in spans {
      #expect(spans.allSatisfy { $0.activity == .bucket && $0.lane == .communication })
      #expect(
        spans.count == 4 * ((100 + bucket - 1) / bucket),
        "a wait and a way for every bucket of two rounds")
      #expect(spans.reduce(0) { $0 + (Int($1.name.prefix { $0.isNumber }) ?? 0) } == 200)
    }
  }

  @Test func anEmptyBufferIsSummed() throws {
    #expect(try Self.sums([[], []], .float16, bucket: 4) == [[], []])
  }

  @Test func oneRankHasNoReducer() throws {
    let gradients = ParameterGradients(count: 8)
    #expect(
      try GradientReducer(
        gradients, wire: .float64, bucketBytes: 64, SoloCommunicator(), Timeline()) == nil
        && gradients.onCompletion == nil)
    let none = try ThreadCommunicator.run(1) {
      try GradientReducer(
        ParameterGradients(count: 8), wire: .float16, bucketBytes: 64, $0, Timeline()) == nil
    }
    #expect(none == [true])
  }

  // MARK: - Completion

  /// Every element, some, none, the same twice, out of order, nothing on one of the ranks, and beyond the ends.
  @Test(arguments: [
    Array((0...60).reversed()), [45, 44, 3], [], [30, 30, 30], [10, 50, 20], [0], [60],
    [59, 0, 60],
  ])
  func completionIsToldInAnySteps(_ steps: [Int]) throws {
    let parts = (0..<3).map { Self.values(60, rank: $0) }
    let expected = Self.plainSum(parts)
    for bucket in [1, 8, 60] {
      let alike = try Self.sums(parts, .float64, bucket: bucket) { gradients, _ in
        steps.forEach { gradients.complete(from: $0) }
      }
      #expect(alike.allSatisfy { $0 == expected })
      let uneven = try Self.sums(parts, .float64, bucket: bucket) { gradients, rank in
        if rank != 1 { steps.forEach { gradients.complete(from: $0) } }
      }
      #expect(uneven.allSatisfy { $0 == expected })
    }
  }

  @Test(arguments: Wire.allCases) func roundsFollowEachOther(_ wire: Wire) throws {
    let rounds = 12
    let results = try ThreadCommunicator.run(3) { communicator in
      let gradients = ParameterGradients(count: 50)
      let reducer = try #require(
        try GradientReducer(
          gradients, wire: wire, bucketBytes: 16 * wire.width, communicator, Timeline()))
      return try (0..<rounds).map { round in
        gradients.values.zero()
        try reducer.begin()
        let mine = Self.values(50, rank: communicator.rank, round: round)
        for i in (0..<50).reversed() {
          gradients.values[i] = mine[i]
          if i % (round + 1) == 0 { gradients.complete(from: i) }
        }
        try reducer.finish()
        return gradients.values.array
      }
    }
    for round in 0..<rounds {
      let expected = Self.plainSum((0..<3).map { Self.values(50, rank: $0, round: round) })
      let tolerance = wire == .float64 || wire == .int32 ? 0 : wire == .float32 ? 1e-5 : 2e-2
      for result in results {
        #expect(
          zip(result[round], expected).allSatisfy { abs($0 - $1) <= tolerance }, "round \(round)")
        #expect(result[round] == results[0][round])
      }
    }
  }

  /// A bucket goes when it is complete on every rank and not before; what is told before `begin` does not count.
  @Test(arguments: plain) func nothingIncompleteIsTouched(_ wire: Wire) throws {
    _ = try ThreadCommunicator.run(2) { communicator in
      let spy = SpyCommunicator(communicator)
      let gradients = ParameterGradients(count: 40)
      let mine = Double(communicator.rank + 1)
      let reducer = try #require(
        try GradientReducer(
          gradients, wire: wire, bucketBytes: 10 * wire.width, spy, Timeline()))
      for _ in 0..<2 {
        let before = spy.calls.finished
        for i in 0..<40 { gradients.values[i] = mine }
        gradients.complete(from: 0)
        try reducer.begin()
        func expect(summed start: Int, buckets: Int, _ place: String) throws {
          #expect(spy.waitForSums(before + buckets), "\(place)")
          usleep(20_000)
          #expect(spy.calls.finished == before + buckets, "\(place)")
          let expected = (0..<40).map { $0 < start ? mine : 3 }
          #expect(gradients.values.array == expected, "\(place)")
          try communicator.barrier()
        }
        try expect(summed: 40, buckets: 0, "nothing told")
        gradients.complete(from: 31)
        try expect(summed: 40, buckets: 0, "not yet a bucket")
        gradients.complete(from: 30)
        try expect(summed: 30, buckets: 1, "exactly a bucket")
        // The other rank is behind.
        gradients.complete(from: communicator.rank == 0 ? 0 : 11)
        try expect(summed: 20, buckets: 2, "on one rank")
        if communicator.rank == 1 { gradients.complete(from: 10) }
        try expect(summed: 10, buckets: 3, "on both")
        try reducer.finish()
        #expect(gradients.values.array == [Double](repeating: 3, count: 40))
        #expect(spy.calls.finished == before + 4)
      }
    }
  }

  // MARK: - Failure

  /// A rank that throws, before its buckets or in the middle of them, leaves no one waiting.
  @Test(arguments: 2...4, [0, 20]) func aFailingRankIsNoticed(_ ranks: Int, _ told: Int) {
    let noticed = Buffer<Int>(count: ranks)
    let outcome = within(seconds: 20) {
      try ThreadCommunicator.run(ranks) { communicator in
        let gradients = ParameterGradients(count: 40)
        let reducer = try #require(
          try GradientReducer(gradients, wire: .float64, bucketBytes: 80, communicator, Timeline()))
        try reducer.begin()
        if told > 0 { gradients.complete(from: told) }
        if communicator.rank == 1 { throw Failure.data("photo 7.jpg: truncated") }
        do { try reducer.finish() } catch {
          noticed[communicator.rank] = 1
          throw error
        }
      }
    }
    guard case .failure(let error as Failure) = outcome else {
      Issue.record(outcome == nil ? "still waiting after 20 s" : "no rank threw")
      return
    }
    #expect(error.kind == .data && noticed.array == (0..<ranks).map { $0 == 1 ? 0 : 1 })
  }

  /// A collective that fails on a rank: its error comes out of `finish`, in this round and every other.
  @Test(arguments: [0, 2]) func aFailedSumIsThrown(_ number: Int) {
    let caught = Buffer<Int>(count: 2)
    let outcome = within(seconds: 20) {
      try ThreadCommunicator.run(2) { communicator in
        let spy = SpyCommunicator(communicator, failsAt: communicator.rank == 0 ? number : nil)
        let gradients = ParameterGradients(count: 40)
        let reducer = try #require(
          try GradientReducer(gradients, wire: .float32, bucketBytes: 40, spy, Timeline()))
        for _ in 0..<2 {
          do {
            try reducer.begin()
            gradients.complete(from: 0)
            try reducer.finish()
          } catch {
            caught[communicator.rank] += 1
            if caught[communicator.rank] == 2 || !(error is SpyCommunicator.Broken) { throw error }
          }
        }
      }
    }
    guard case .failure = outcome else {
      Issue.record(outcome == nil ? "still waiting after 20 s" : "no rank threw")
      return
    }
    #expect(caught.array == [2, 1])
  }

  /// With the reducer and its gradients goes the thread that held the communicator.
  @Test func noThreadIsLeftBehind() throws {
    final class Watch: @unchecked Sendable { weak var room: Timeline? }
    let watches = [Watch(), Watch()]
    _ = try ThreadCommunicator.run(2) { communicator in
      let timeline = Timeline()
      let gradients = ParameterGradients(count: 4)
      watches[communicator.rank].room = timeline
      let reducer = try #require(
        try GradientReducer(gradients, wire: .float64, bucketBytes: 8, communicator, timeline))
      try reducer.begin()
      try reducer.finish()
    }
    for _ in 0..<5000 where watches.contains(where: { $0.room != nil }) { usleep(1000) }
    #expect(watches.allSatisfy { $0.room == nil })
  }
}

extension ParameterGradients {
  /// What a reducer is told.
  fileprivate func complete(from index: Int) { onCompletion?(index) }
}
