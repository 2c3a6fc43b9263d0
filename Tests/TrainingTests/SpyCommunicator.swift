import Collectives
import Foundation
import Synchronization
import Tensors

/// Another communicator, which remembers what its duplicates were called with, and fails where it is told to.
final class SpyCommunicator: BackgroundCommunicator {
  /// The calls of all duplicates: how many barriers, and the buffers that were reduced, in order.
  struct Calls {
    var barriers = 0
    var sums: [(address: UInt, count: Int)] = []
    /// Those of integers.
    var integers = 0
    /// Sums that have returned.
    var finished = 0
  }

  struct Broken: Error {}

  let rank: Int, size: Int
  private let base: any Communicator
  /// Of duplicates.
  private let sums: (any ShardedSums)?
  private let log: Log
  private let isDuplicate: Bool
  private let failsAt: Int?

  private final class Log: Sendable { let calls = Mutex(Calls()) }

  /// `failsAt`: the number of the sum, from 0, that throws without a call.
  convenience init(_ base: any Communicator, failsAt: Int? = nil) {
    self.init(base, nil, Log(), isDuplicate: false, failsAt)
  }

  private init(
    _ base: any Communicator, _ sums: (any ShardedSums)?, _ log: Log, isDuplicate: Bool, _ failsAt: Int?
  ) {
    (rank, size, self.sums) = (base.rank, base.size, sums)
    (self.base, self.log, self.isDuplicate, self.failsAt) = (base, log, isDuplicate, failsAt)
  }

  var calls: Calls { log.calls.withLock { $0 } }

  /// Waits for so many sums; false where they do not come within ten seconds.
  func waitForSums(_ count: Int) -> Bool {
    for _ in 0..<10_000 {
      if calls.finished >= count { return true }
      usleep(1000)
    }
    return false
  }

  private func sum<T>(_ values: UnsafeMutableBufferPointer<T>, _ body: () throws -> Void) throws {
    guard isDuplicate else { return try body() }
    let number = log.calls.withLock { calls in
      calls.sums.append((UInt(bitPattern: values.baseAddress), values.count))
      return calls.sums.count - 1
    }
    if number == failsAt { throw Broken() }
    try body()
    log.calls.withLock { $0.finished += 1 }
  }

  func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    guard operation == .sum else { return try base.allreduce(values, operation) }
    try sum(values) { try base.allreduce(values, operation) }
  }
  func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try sum(values) { try base.allreduce(values) }
  }
  func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {
    try sum(values) { try base.allreduce(values) }
  }
  func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws {
    try sum(values) { try base.allreduce(values) }
    log.calls.withLock { $0.integers += 1 }
  }
  func barrier() throws {
    try base.barrier()
    if isDuplicate { log.calls.withLock { $0.barriers += 1 } }
  }
  func duplicate() throws -> any BackgroundCommunicator {
    let other = try base.duplicate()
    return SpyCommunicator(other, other, log, isDuplicate: true, failsAt)
  }
  func shard(of count: Int) -> Range<Int> { sums!.shard(of: count) }
  func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    try sum(values) { try sums!.reduceScatter(values) }
  }
  func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws {
    try sums!.allgather(shardsOf: values)
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try base.broadcast(bytes, from: root)
  }
  func allgather(
    _ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer
  ) throws {
    try base.allgather(bytes, counts: counts, into: all)
  }
  func abort(_ code: Int32) -> Never { base.abort(code) }
}

/// Runs `body` on a thread of its own; nil where it is not done after so many seconds, and then it is left behind.
func within<T: Sendable>(seconds: Double, _ body: @escaping @Sendable () throws -> T) -> Result<
  T, any Error
>? {
  let box = Box<T>()
  let done = DispatchSemaphore(value: 0)
  Thread.detachNewThread {
    let result = Result { try body() }
    box.result.withLock { $0 = result }
    done.signal()
  }
  guard done.wait(timeout: .now() + seconds) == .success else { return nil }
  return box.result.withLock { $0 }
}

private final class Box<T: Sendable>: Sendable { let result = Mutex<Result<T, any Error>?>(nil) }
