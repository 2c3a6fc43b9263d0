import Foundation
import Synchronization
import Tensors

/// Several ranks in one process, a thread each: SyncBatchNorm and all that crosses ranks, without mpirun.
///
/// Sums are taken in the order of ranks, by every rank alike.
package final class ThreadCommunicator: BackgroundCommunicator {
  package let rank: Int
  package var size: Int { room.size }
  private let room: Room
  /// Duplicates made so far; the same number on every rank.
  private let duplicates = Atomic<Int>(0)

  private init(rank: Int, room: Room) { (self.rank, self.room) = (rank, room) }

  /// Runs `body` as each of `size` ranks on threads of their own and returns their results in order.
  /// Where a rank throws, the others' collectives throw too, and the first rank's error is thrown.
  package static func run<T: Sendable>(_ size: Int, _ body: @escaping @Sendable (ThreadCommunicator) throws -> T) throws
    -> [T]
  {
    let room = Room(size: size), results = Results<T>(size)
    let group = DispatchGroup()
    for rank in 0..<size {
      group.enter()
      let thread = Thread {
        results[rank] = Result { try body(ThreadCommunicator(rank: rank, room: room)) }
        if case .failure(let error) = results[rank]! { room.fail(error) }
        group.leave()
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
    group.wait()
    if let error = room.error { throw error }
    return try (0..<size).map { try results[$0]!.get() }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    try reduce(values) { operation == .sum ? $0 + $1 : Swift.max($0, $1) }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws { try reduce(values, +) }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {
    try reduce(values) { Float16(Float($0) + Float($1)) }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws { try reduce(values, &+) }

  private func reduce<T>(_ values: UnsafeMutableBufferPointer<T>, _ operation: (T, T) -> T) throws {
    let mine = UnsafeMutableRawBufferPointer(values)
    var result: [T] = []
    try room.exchange(rank, mine) { all in
      precondition(all.allSatisfy { $0.count == mine.count }, "ranks reduce different counts")
      result = Array(all[0].bindMemory(to: T.self))
      for other in all.dropFirst() {
        let other = other.bindMemory(to: T.self)
        for i in result.indices { result[i] = operation(result[i], other[i]) }
      }
    }
    for i in result.indices { values[i] = result[i] }
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    var copy: [UInt8] = []
    try room.exchange(rank, bytes) { copy = Array($0[root]) }
    bytes.copyBytes(from: copy)
  }

  package func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  {
    try room.exchange(rank, UnsafeMutableRawBufferPointer(mutating: bytes)) { parts in
      precondition(parts.map(\.count) == counts, "ranks gather other counts than announced")
      var offset = 0
      for part in parts {
        UnsafeMutableRawBufferPointer(rebasing: all[offset..<offset + part.count]).copyMemory(
          from: UnsafeRawBufferPointer(part))
        offset += part.count
      }
    }
  }

  package func barrier() throws { try room.meet() }

  package func shard(of count: Int) -> Range<Int> { shard(of: count, rank) }

  private func shard(of count: Int, _ rank: Int) -> Range<Int> { count * rank / size..<count * (rank + 1) / size }

  package func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    let own = shard(of: values.count)
    var sums: [T] = []
    try room.exchange(rank, UnsafeMutableRawBufferPointer(values)) { all in
      sums = Array(all[0].bindMemory(to: T.self)[own])
      for other in all.dropFirst() {
        for (i, value) in other.bindMemory(to: T.self)[own].enumerated() { sums[i] = T.sum(sums[i], value) }
      }
    }
    for (i, sum) in zip(own, sums) { values[i] = sum }
  }

  package func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws {
    var whole: [T] = []
    try room.exchange(rank, UnsafeMutableRawBufferPointer(values)) { all in
      whole = all.enumerated().flatMap { $1.bindMemory(to: T.self)[shard(of: values.count, $0)] }
    }
    for (i, value) in whole.enumerated() { values[i] = value }
  }

  package func duplicate() throws -> any BackgroundCommunicator {
    let number = duplicates.add(1, ordering: .relaxed).oldValue
    return ThreadCommunicator(rank: rank, room: room.other(number))
  }

  package func abort(_ code: Int32) -> Never { exit(code) }
}

/// Where the threads meet: a barrier, and everyone's buffer for as long as all look at it.
private final class Room: @unchecked Sendable {
  let size: Int
  private(set) var error: (any Error)?
  private let condition = NSCondition()
  private var waiting = 0, generation = 0
  private var buffers: [UnsafeMutableRawBufferPointer]
  /// The rooms of duplicates; they fail with this one.
  private var others: [Room] = []

  init(size: Int) {
    self.size = size
    buffers = Array(repeating: UnsafeMutableRawBufferPointer(start: nil, count: 0), count: size)
  }

  func fail(_ error: any Error) {
    condition.lock()
    if self.error == nil { self.error = error }
    for other in others { other.fail(error) }
    condition.broadcast()
    condition.unlock()
  }

  /// The room of the duplicate of this number, made by the first rank that asks.
  func other(_ number: Int) -> Room {
    condition.lock()
    defer { condition.unlock() }
    if others.count == number {
      others.append(Room(size: size))
      if let error { others[number].fail(error) }
    }
    return others[number]
  }

  func meet() throws {
    condition.lock()
    defer { condition.unlock() }
    guard error == nil else { throw Failure.internal("another rank failed") }
    waiting += 1
    let mine = generation
    if waiting == size {
      (waiting, generation) = (0, generation + 1)
      condition.broadcast()
    }
    while generation == mine && error == nil { condition.wait() }
    if generation == mine { throw Failure.internal("another rank failed") }
  }

  func exchange(
    _ rank: Int, _ mine: UnsafeMutableRawBufferPointer, _ look: ([UnsafeMutableRawBufferPointer]) -> Void
  ) throws {
    condition.lock()
    buffers[rank] = mine
    condition.unlock()
    try meet()
    look(buffers)
    try meet()
  }
}

/// One result a rank; each thread writes only its own element.
private final class Results<T>: @unchecked Sendable {
  private let values: UnsafeMutablePointer<Result<T, any Error>?>
  private let count: Int

  init(_ count: Int) {
    self.count = count
    values = .allocate(capacity: count)
    values.initialize(repeating: nil, count: count)
  }

  deinit {
    values.deinitialize(count: count)
    values.deallocate()
  }

  subscript(rank: Int) -> Result<T, any Error>? {
    get { values[rank] }
    set { values[rank] = newValue }
  }
}
