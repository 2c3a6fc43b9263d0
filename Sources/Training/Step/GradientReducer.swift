import Collectives
import Foundation
import Kernels
import Layers
import Tensors

/// Sums parameter gradients over ranks while the backward pass goes on.
///
/// The buffer is cut into *buckets*, from its end, because the backward pass completes it from there. A thread with a
/// communicator of its own takes one after the other: it sleeps until the bucket is complete on this rank, then until it is
/// on all ranks, and sums it. So it neither spins beside the computation nor depends on the progress of anything non-blocking.
///
/// With a sharded optimizer (Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020, stage
/// 1) a rank has the sums of its part of each bucket only, moves the parameters of these parts, and the thread gathers
/// all parameters from the beginning of the buffer on, where the next forward pass begins.
package final class GradientReducer {
  private let room: BucketRoom

  /// nil for one rank, which has nothing to sum. Every rank makes one at the same place.
  package init?(
    _ gradients: ParameterGradients, wire: Wire, bucketBytes: Int, isSharded: Bool = false,
    _ communicator: any Communicator, _ timeline: Timeline, _ path: KernelPath = .blas
  ) throws {
    guard communicator.size > 1 else { return nil }
    room = BucketRoom(
      Buckets(
        gradients.values, gradients.grid, wire: wire, bytes: bucketBytes, isSharded: isSharded,
        try communicator.duplicate(), path),
      timeline)
    gradients.onCompletion = { [room] in room.complete(from: $0) }
    Threads.start("lineup-buckets") { [room] in room.serve() }
  }

  deinit { room.close() }

  /// What this rank has the sums of: the buffer, or of each bucket a part, in ascending order.
  package var shards: ParameterShards { room.buckets.shards }

  /// Before a backward pass of which gradients will be told to be complete.
  package func begin() throws { try room.begin() }

  /// After it: returns when all of the buffer is summed. Throws what a collective threw.
  package func finish() throws { try room.finish() }

  /// The shards of `values`, a buffer of the same layout, on all ranks: returns at once.
  package func gather<A: Element>(_ values: Buffer<A>) {
    room.gather { [buckets = room.buckets] in try buckets.gather($0, of: values) }
  }

  /// Returns when `values` are whole up to `index`. Throws what a collective threw.
  package func require(_ index: Int) throws { try room.require(index) }

  /// When nothing is under way: the shards of a rank, kept by themselves, as whole buckets on every rank.
  package func gather<A: Element>(
    shards: Buffer<A>, into take: (_ bucket: Range<Int>, UnsafeMutableBufferPointer<A>) -> Void
  ) throws { try room.buckets.gather(shards: shards, into: take) }
}

/// What the two threads share; guarded by `condition`, except the buckets, which only the communication thread touches, or the
/// other one while that has nothing to do.
private final class BucketRoom: @unchecked Sendable {
  typealias Gathering = (Range<Int>) throws -> Void
  private enum Work { case sum(Range<Int>), gather(Range<Int>, Gathering) }

  let buckets: Buckets
  private let condition = NSCondition()
  private let timeline: Timeline
  /// Where the complete part of the gradients begins, and where the part that is summed.
  private var complete: Int, summed: Int
  /// How far parameters are whole, and how they become so, where that is under way.
  private var gathered: Int, gathering: Gathering?
  private var isOpen = false, isClosed = false
  private var error: (any Error)?

  init(_ buckets: Buckets, _ timeline: Timeline) {
    (self.buckets, self.timeline) = (buckets, timeline)
    (complete, summed, gathered) = (buckets.end, 0, buckets.end)
  }

  func begin() throws {
    try require(buckets.end)
    condition.withLock {
      (complete, summed, isOpen) = (buckets.end, buckets.end, true)
      condition.broadcast()
    }
  }

  func complete(from index: Int) {
    condition.withLock {
      complete = min(complete, index)
      condition.broadcast()
    }
  }

  func finish() throws {
    try condition.withLock {
      complete = 0
      condition.broadcast()
      while summed > 0 && error == nil { condition.wait() }
      isOpen = false
      if let error { throw error }
    }
  }

  func gather(_ gathering: @escaping Gathering) {
    condition.withLock {
      (gathered, self.gathering) = (0, gathering)
      condition.broadcast()
    }
  }

  func require(_ index: Int) throws {
    try condition.withLock {
      while gathered < index && error == nil { condition.wait() }
      if let error { throw error }
    }
  }

  func close() {
    condition.withLock {
      isClosed = true
      condition.broadcast()
    }
  }

  /// The life of the communication thread.
  func serve() {
    while let work = next() {
      do {
        switch work {
        case .sum(let bucket):
          try buckets.sum(bucket, timeline)
          condition.withLock {
            summed = bucket.lowerBound
            condition.broadcast()
          }
        case .gather(let bucket, let gathering):
          try timeline.measure(.bucket, "\(bucket.count) parameters", lane: .communication) { try gathering(bucket) }
          condition.withLock {
            gathered = bucket.upperBound
            if gathered == buckets.end { self.gathering = nil }
            condition.broadcast()
          }
        }
      } catch {
        return condition.withLock {
          self.error = error
          condition.broadcast()
        }
      }
    }
  }

  /// Waits for the next complete bucket, or the next to be gathered; nil when closed.
  private func next() -> Work? {
    condition.withLock {
      while !isClosed {
        if let gathering { return .gather(buckets.bucket(from: gathered), gathering) }
        let bucket = buckets.bucket(below: summed)
        if isOpen && summed > 0 && complete <= bucket.lowerBound { return .sum(bucket) }
        condition.wait()
      }
      return nil
    }
  }
}
