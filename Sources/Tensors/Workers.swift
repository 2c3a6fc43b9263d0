import Foundation

/// The threads of one rank. `parallelFor` splits a loop over them; in between they sleep.
///
/// A *rehearsal* runs no loop body at all: the program of a step then only allocates, and so tells what memory
/// it needs.
package final class Workers: Sendable {
  /// Threads, the caller's among them.
  package let count: Int
  package let isRehearsal: Bool
  /// What has been asked of them.
  package let work = Work()
  /// When it was done.
  package let timeline: Timeline
  private let pool: Pool

  package init(count: Int, rehearsal: Bool = false, timeline: Timeline = Timeline()) {
    precondition(count > 0)
    self.count = count
    self.timeline = timeline
    isRehearsal = rehearsal
    pool = Pool(workers: count, timeline)
    guard !rehearsal else { return }
    for worker in 1..<max(1, count) {
      Threads.start("lineup-\(worker)") { [pool] in pool.serve(worker) }
    }
  }

  deinit { pool.close() }

  /// body(index, worker) for all 0 ≤ index < count, each once, in any order; returns when all are done.
  /// One loop at a time, not nested.
  package func parallelFor(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    if isRehearsal || count <= 0 { return }
    if count == 1 || self.count == 1 {
      for index in 0..<count {
        body(index, 0)
        timeline.beat()
      }
    } else {
      pool.run(count, body)
    }
  }

  /// Makes sure that every worker has at least `bytes` of scratch. Before a `parallelFor`, not inside.
  package func reserveScratch(bytes: Int) { pool.reserve(bytes: bytes, allocate: !isRehearsal) }

  /// The scratch of a worker, contents undefined; its own while it is in a loop body.
  package func scratch(_ worker: Int) -> UnsafeMutableRawPointer { pool.scratches[worker]! }

  /// Scratch of all workers in bytes, for the account of memory.
  package var scratchBytes: Int { pool.scratchSize * count }
}

/// What the threads share; guarded by `condition`, except the scratch, which only the owner of the loop changes.
private final class Pool: @unchecked Sendable {
  private let condition = NSCondition()
  private var body: ((Int, Int) -> Void)?
  private var next = 0, end = 0, busy = 0, generation = 0, closed = false
  private(set) var scratches: [UnsafeMutableRawPointer?]
  private(set) var scratchSize = 0

  private let timeline: Timeline

  init(workers: Int, _ timeline: Timeline) {
    scratches = Array(repeating: nil, count: workers)
    self.timeline = timeline
  }

  deinit { for scratch in scratches { free(scratch) } }

  func close() {
    condition.lock()
    closed = true
    condition.broadcast()
    condition.unlock()
  }

  func reserve(bytes: Int, allocate: Bool) {
    guard bytes > scratchSize else { return }
    scratchSize = (bytes + 4095) / 4096 * 4096
    guard allocate else { return }
    for worker in scratches.indices {
      free(scratches[worker])
      scratches[worker] = Memory.granted(aligned_alloc(4096, scratchSize), bytes: scratchSize)
    }
  }

  func run(_ count: Int, _ body: (Int, Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      condition.lock()
      (self.body, next, end) = (body, 0, count)
      generation += 1
      condition.broadcast()
      work(0)
      while busy > 0 { condition.wait() }
      self.body = nil
      condition.unlock()
    }
  }

  /// Takes indices until none is left. Called and returns with the lock held.
  private func work(_ worker: Int) {
    guard let body else { return }
    busy += 1
    while next < end {
      let index = next
      next += 1
      condition.unlock()
      body(index, worker)
      if worker == 0 { timeline.beat() }
      condition.lock()
    }
    busy -= 1
    if busy == 0 { condition.broadcast() }
  }

  func serve(_ worker: Int) {
    condition.lock()
    var seen = 0
    while !closed {
      if generation == seen {
        condition.wait()
      } else {
        seen = generation
        work(worker)
      }
    }
    condition.unlock()
  }
}
