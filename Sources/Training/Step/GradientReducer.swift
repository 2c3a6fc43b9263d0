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
package final class GradientReducer {
  private let room: BucketRoom

  /// nil for one rank, which has nothing to sum. Every rank makes one at the same place.
  package init?(
    _ gradients: ParameterGradients, wire: Wire, bucketBytes: Int, _ communicator: any Communicator,
    _ timeline: Timeline, _ path: KernelPath = .blas
  ) throws {
    guard communicator.size > 1 else { return nil }
    room = BucketRoom(
      Buckets(gradients.values, gradients.grid, wire: wire, bytes: bucketBytes, try communicator.duplicate(), path),
      timeline)
    gradients.onCompletion = { [room] in room.complete(from: $0) }
    Threads.start("lineup-buckets") { [room] in room.serve() }
  }

  deinit { room.close() }

  /// Before a backward pass of which gradients will be told to be complete.
  package func begin() { room.begin() }

  /// After it: returns when all of the buffer is summed. Throws what a collective threw.
  package func finish() throws { try room.finish() }
}

/// What the two threads share; guarded by `condition`, except the buckets, which only the communication thread touches.
private final class BucketRoom: @unchecked Sendable {
  private let condition = NSCondition()
  private let buckets: Buckets
  private let timeline: Timeline
  /// Where the complete part of the gradients begins, and where the part that is summed.
  private var complete: Int, summed: Int
  private var isOpen = false, isClosed = false
  private var error: (any Error)?

  init(_ buckets: Buckets, _ timeline: Timeline) {
    (self.buckets, self.timeline) = (buckets, timeline)
    (complete, summed) = (buckets.end, 0)
  }

  func begin() {
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

  func close() {
    condition.withLock {
      isClosed = true
      condition.broadcast()
    }
  }

  /// The life of the communication thread.
  func serve() {
    while let bucket = next() {
      do {
        try buckets.sum(bucket, timeline)
        condition.withLock {
          summed = bucket.lowerBound
          condition.broadcast()
        }
      } catch {
        return condition.withLock {
          self.error = error
          condition.broadcast()
        }
      }
    }
  }

  /// Waits for the next complete bucket; nil when closed.
  private func next() -> Range<Int>? {
    condition.withLock {
      while !isClosed {
        let bucket = buckets.bucket(below: summed)
        if isOpen && summed > 0 && complete <= bucket.lowerBound { return bucket }
        condition.wait()
      }
      return nil
    }
  }
}
