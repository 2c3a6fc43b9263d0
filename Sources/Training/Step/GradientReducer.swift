import Collectives
import Foundation
import Kernels
import Layers
import Tensors

/// What gradients cross ranks as.
package enum Wire: String, Choice {
  /// Exact: the sums of `ParameterGradients` carry no rounding, so that any number of ranks takes the same course.
  case float64
  /// Half the bytes; each rank's share and every sum rounded to 24 bits.
  case float32
  /// A quarter; 11 bits. Each bucket is scaled so that its sum cannot overflow.
  case float16
}

/// Sums parameter gradients over ranks while the backward pass goes on.
///
/// The buffer is cut into *buckets*, from its end, because the backward pass completes it from there. A thread with a
/// communicator of its own takes one after the other: it sleeps until the bucket is complete on this rank, then until it is
/// on all ranks (`rendezvous`), and reduces it with a blocking call. So it neither spins beside the computation nor depends
/// on the progress of anything non-blocking.
package final class GradientReducer {
  private let room: BucketRoom

  /// nil for one rank, which has nothing to sum. Every rank makes one at the same place.
  package init?(
    _ gradients: ParameterGradients, wire: Wire, bucketBytes: Int, _ communicator: any Communicator,
    _ timeline: Timeline
  ) throws {
    guard communicator.size > 1 else { return nil }
    room = BucketRoom(
      Buckets(gradients.values, wire: wire, bytes: bucketBytes, try communicator.duplicate()), timeline)
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

/// The buckets of a buffer of gradients and how one is summed.
private final class Buckets: @unchecked Sendable {
  let end: Int
  private let values: Buffer<Double>
  private let length: Int
  private let communicator: any Communicator
  private let half = Kernels<Float16>(path: .blas)
  private let single = Kernels<Float>(path: .blas)
  private let double = Kernels<Double>(path: .blas)
  /// A bucket as it crosses ranks, if not in place.
  private let singles: Buffer<Float>?, halves: Buffer<Float16>?

  init(_ values: Buffer<Double>, wire: Wire, bytes: Int, _ communicator: any Communicator) {
    (self.values, self.communicator) = (values, communicator)
    end = values.count
    let width = wire == .float64 ? 8 : wire == .float32 ? 4 : 2
    length = max(1, min(end, bytes / width))
    singles = wire == .float32 ? Buffer(count: length) : nil
    halves = wire == .float16 ? Buffer(count: length) : nil
  }

  func bucket(below end: Int) -> Range<Int> { max(0, end - length)..<end }

  /// On every rank the sum of the bucket over all ranks. The wait for the slowest rank and the way of the bucket are spans of
  /// their own.
  func sum(_ bucket: Range<Int>, _ timeline: Timeline) throws {
    let name = "\(bucket.count) gradients"
    try timeline.measure(.bucket, "wait for ranks", lane: .communication) { try communicator.rendezvous() }
    try timeline.measure(.bucket, name, lane: .communication) {
      let part = UnsafeMutableBufferPointer(rebasing: values.span[bucket])
      if let singles {
        let wire = UnsafeMutableBufferPointer(rebasing: singles.span[..<part.count])
        single.narrow(part.baseAddress!, part.count, into: wire.baseAddress!)
        try communicator.allreduce(wire)
        single.widen(wire.baseAddress!, part.count, into: part.baseAddress!)
      } else if let halves {
        try sum(part, as: UnsafeMutableBufferPointer(rebasing: halves.span[..<part.count]))
      } else {
        try communicator.allreduce(part, .sum)
      }
    }
  }

  /// Times the power of two that keeps the sum of all ranks below float16's largest number, 65504.
  private func sum(_ part: UnsafeMutableBufferPointer<Double>, as wire: UnsafeMutableBufferPointer<Float16>) throws {
    let own = double.magnitudes(part.baseAddress!, part.count).largest
    var largest = [own.isFinite ? own : .infinity]
    try communicator.allreduce(&largest, .max)
    let bound = largest[0] * Double(communicator.size)
    let exponent = bound > 0 && bound.isFinite ? min(1020, 14 - bound.exponent) : 0
    let scale = Double(sign: .plus, exponent: exponent, significand: 1)
    half.narrow(part.baseAddress!, part.count, by: scale, into: wire.baseAddress!)
    try communicator.allreduce(wire)
    half.widen(wire.baseAddress!, part.count, by: 1 / scale, into: part.baseAddress!)
  }
}
