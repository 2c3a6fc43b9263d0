import Foundation
import Tensors
import Testing

@Suite struct WorkersTests {
  /// Counts visits of an index and the workers that made them; each element is written by one thread at a time.
  private func visits(_ workers: Workers, _ count: Int) -> (indices: [Int], workers: [Int]) {
    let indices = Buffer<Int>(count: count)
    let visitors = Buffer<Int>(count: count)
    workers.parallelFor(count) { index, worker in
      indices[index] += 1
      visitors[index] = worker
    }
    return (indices.array, visitors.array)
  }

  @Test(arguments: [1, 2, 3, 7]) func everyIndexOnce(_ threads: Int) {
    let workers = Workers(count: threads)
    for count in [0, 1, 2, 3, threads - 1, threads, threads + 1, 1000] {
      let (indices, visitors) = visits(workers, count)
      #expect(indices == [Int](repeating: 1, count: count))
      #expect(visitors.allSatisfy { (0..<threads).contains($0) })
    }
    workers.parallelFor(-1) { _, _ in Issue.record("no index is below −1") }
  }

  /// Sizes change from round to round, results of a round are visible after it, and no round is lost.
  @Test func manyRounds() {
    let workers = Workers(count: 3)
    let sums = Buffer<Int>(count: 64)
    var expected = [Int](repeating: 0, count: 64)
    for round in 0..<5000 {
      let count = round * 7 % 65
      workers.parallelFor(count) { index, _ in sums[index] += index + round }
      for index in 0..<count { expected[index] += index + round }
      if round % 500 == 0 { #expect(sums.array == expected) }
    }
    #expect(sums.array == expected)
  }

  /// The loop returns only when slow bodies on other threads are done too.
  @Test func waitsForTheLastBody() {
    let workers = Workers(count: 4)
    for _ in 0..<20 {
      let done = Buffer<Int>(count: 4)
      workers.parallelFor(4) { index, _ in
        if index > 0 { Thread.sleep(forTimeInterval: 0.002) }
        done[index] = 1
      }
      #expect(done.array == [1, 1, 1, 1])
    }
  }

  @Test func bodiesRunConcurrently() {
    let workers = Workers(count: 3)
    let arrived = NSCondition()
    let count = Buffer<Int>(count: 1)
    // Each body waits for all three: it would never end if one thread had to run two of them.
    workers.parallelFor(3) { _, _ in
      arrived.lock()
      count[0] += 1
      arrived.broadcast()
      while count[0] < 3 { arrived.wait() }
      arrived.unlock()
    }
    #expect(count[0] == 3)
  }

  @Test func aRehearsalRunsNothing() {
    let workers = Workers(count: 4, rehearsal: true)
    #expect(workers.isRehearsal && workers.count == 4)
    workers.parallelFor(100) { _, _ in Issue.record("a rehearsal ran a loop body") }
    workers.reserveScratch(bytes: 10_000)
    #expect(workers.scratchBytes == 4 * 12_288)
  }

  @Test func scratchesAreDisjointAndKept() {
    let workers = Workers(count: 3)
    #expect(workers.scratchBytes == 0)
    workers.reserveScratch(bytes: 100)
    #expect(workers.scratchBytes == 3 * 4096)
    workers.reserveScratch(bytes: 50_000)
    let size = workers.scratchBytes / 3
    #expect(size >= 50_000)
    let wrong = Buffer<Int>(count: 300)
    for round in 0..<20 {
      workers.parallelFor(300) { index, worker in
        let scratch = workers.scratch(worker).assumingMemoryBound(to: UInt8.self)
        let mark = UInt8(truncatingIfNeeded: index + round)
        for i in 0..<size { scratch[i] = mark }
        for i in 0..<size where scratch[i] != mark { wrong[index] += 1 }
      }
    }
    #expect(wrong.array.allSatisfy { $0 == 0 })
    let before = workers.scratch(1)
    workers.reserveScratch(bytes: 10)
    #expect(workers.scratch(1) == before, "a smaller reservation keeps the scratch")
    let places = (0..<3).map { UInt(bitPattern: workers.scratch($0)) }.sorted()
    #expect(zip(places, places.dropFirst()).allSatisfy { $1 - $0 >= UInt(size) })
  }

  @Test func poolsComeAndGo() {
    for round in 0..<50 {
      let workers = Workers(count: 1 + round % 4)
      #expect(visits(workers, 9).indices == [Int](repeating: 1, count: 9))
    }
  }
}
