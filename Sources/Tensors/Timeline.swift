import Foundation
import Synchronization

/// When a rank did what: spans of time, recorded by the threads that do it and taken once a step.
///
/// A step is some hundred spans of a microsecond's work, so recording is never off. Spans of `phase` enclose others; the
/// rest do not overlap on their lane.
package final class Timeline: Sendable {
  package enum Activity: String, CaseIterable, Sendable {
    /// A part of the step, around everything else.
    case phase
    /// A pass of a convolution or linear layer.
    case convolution
    /// What all ranks wait for: batch-norm sums, gathered embeddings, plans, flags.
    case collective
    /// Waiting for gradient buckets after the backward pass.
    case reduction
    /// A gradient bucket on its way, on the communication thread.
    case bucket
    /// Waiting for images.
    case loading
    /// An image, on a loader thread.
    case decoding
    /// Repacking the working weights.
    case packing
    case optimizer
  }

  /// Which thread: the one that runs the step, the one that reduces gradients, or a loader's.
  package enum Lane: Hashable, Sendable {
    case step, communication
    case loader(Int)
  }

  package struct Span: Sendable {
    package let activity: Activity
    package let name: String
    package let lane: Lane
    /// Nanoseconds of the machine's monotonic clock.
    package let start: UInt64, end: UInt64
    package var seconds: Double { Double(end - start) * 1e-9 }

    package init(_ activity: Activity, _ name: String, _ lane: Lane, start: UInt64, end: UInt64) {
      (self.activity, self.name, self.lane, self.start, self.end) = (activity, name, lane, start, end)
    }
  }

  private let spans = Mutex<[Span]>([])

  package init() {}

  /// Runs `body` and records how long it took, also where it throws.
  @discardableResult
  package func measure<T>(
    _ activity: Activity, _ name: String, lane: Lane = .step, _ body: () throws -> T
  ) rethrows -> T {
    let start = Self.now
    defer { record(Span(activity, name, lane, start: start, end: Self.now)) }
    return try body()
  }

  package func record(_ span: Span) { spans.withLock { $0.append(span) } }

  /// What was recorded since the last call, in the order of ends.
  package func take() -> [Span] {
    spans.withLock { spans in
      defer { spans.removeAll(keepingCapacity: true) }
      return spans
    }
  }

  /// Nanoseconds of the machine's monotonic clock.
  package static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
