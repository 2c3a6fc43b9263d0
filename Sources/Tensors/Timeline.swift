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

  /// Where the rank stands, for whoever watches it.
  package struct Standing: Sendable {
    /// The step under way, counted from 1; 0 before the first.
    package var step = 0
    /// The part of the work under way.
    package var phase = "start"
    /// What the step's thread waits for that only other ranks can give, and since when (`now`).
    package var wait: (name: String, since: UInt64)?

    package init(step: Int = 0, phase: String = "start", wait: (name: String, since: UInt64)? = nil) {
      (self.step, self.phase, self.wait) = (step, phase, wait)
    }
  }

  private let spans = Mutex<[Span]>([])
  private let current = Mutex(Standing())
  /// Grows with all that the step's thread gets done.
  private let beats = Atomic<UInt64>(0)

  package init() {}

  /// Runs `body` and records how long it took, also where it throws.
  @discardableResult
  package func measure<T>(
    _ activity: Activity, _ name: String, lane: Lane = .step, _ body: () throws -> T
  ) rethrows -> T {
    let start = Self.now
    if lane == .step { enter(activity, name, start) }
    defer {
      if lane == .step { leave(activity) }
      record(Span(activity, name, lane, start: start, end: Self.now))
    }
    return try body()
  }

  // MARK: - Now

  package var standing: Standing { current.withLock { $0 } }

  /// Changes as long as the step's thread gets on.
  package var progress: UInt64 { beats.load(ordering: .relaxed) }

  /// To be called now and then by whatever takes long without a span.
  package func beat() { beats.add(1, ordering: .relaxed) }

  /// From here on the step's thread is at `phase`, and `step` where given.
  package func begin(_ phase: String, step: Int? = nil) {
    current.withLock { $0 = Standing(step: step ?? $0.step, phase: phase) }
    beat()
  }

  private func enter(_ activity: Activity, _ name: String, _ start: UInt64) {
    beat()
    current.withLock { now in
      switch activity {
      case .collective, .reduction: now.wait = (name, start)
      case .phase, .loading, .optimizer: now.phase = name
      case .convolution, .packing, .bucket, .decoding: break
      }
    }
  }

  private func leave(_ activity: Activity) {
    beat()
    if activity == .collective || activity == .reduction { current.withLock { $0.wait = nil } }
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
