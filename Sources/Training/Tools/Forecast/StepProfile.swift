import Foundation
import Storage
import Tensors

/// One measured step of a rank: what a forecast starts from. Read from what `lineup train --trace` writes.
package struct StepProfile: Sendable, Equatable {
  /// What the ranks wait for together on the thread that runs the step.
  package struct Collective: Sendable, Equatable {
    /// Since the step began, in seconds.
    package let start: Double
    package let bytes: Int

    package init(start: Double, bytes: Int) { (self.start, self.bytes) = (start, bytes) }
  }

  /// Gradients that cross ranks while the backward pass goes on.
  package struct Bucket: Sendable, Equatable {
    /// When this rank had it whole, or as soon as the one before was summed; since the step began, in seconds.
    package let start: Double
    /// On the wire.
    package let bytes: Int

    package init(start: Double, bytes: Int) { (self.start, self.bytes) = (start, bytes) }
  }

  /// Of the step, and up to the end of its backward pass.
  package let seconds: Double, backwardEnd: Double
  package let collectives: [Collective], buckets: [Bucket]
  /// The ranks that made the step.
  package let ranks: Int

  package init(
    seconds: Double, backwardEnd: Double, collectives: [Collective], buckets: [Bucket], ranks: Int
  ) {
    (self.seconds, self.backwardEnd) = (seconds, backwardEnd)
    (self.collectives, self.buckets, self.ranks) = (collectives, buckets, ranks)
  }

  /// Of rank 0.
  /// - Throws: `Failure.data` for a file that is no trace, or one of a rank that was alone: it has no buckets.
  package init(trace path: String) throws {
    let file = try InputFile.read(path, limit: 1 << 30)
    let trace: Trace
    do {
      trace = try JSONDecoder().decode(Trace.self, from: Data(file))
    } catch {
      throw Failure.data(path, "not a trace of lineup train --trace")
    }
    let own = trace.traceEvents.filter { $0.pid == 0 && $0.ph == "X" && ($0.tid == 0 || $0.tid == 1) }
    func end(_ event: Event) -> Double { event.start + (event.dur ?? 0) * 1e-6 }
    guard let backward = own.first(where: { $0.cat == "phase" && $0.name == "backward" }) else {
      throw Failure.data(path, "has no backward pass of rank 0: not a trace of lineup train --trace")
    }
    seconds = own.filter { $0.tid == 0 }.map(end).max() ?? 0
    backwardEnd = end(backward)
    ranks = Set(trace.traceEvents.map(\.pid)).count
    collectives = own.filter { $0.tid == 0 && $0.cat == "collective" }.map {
      Collective(start: $0.start, bytes: $0.name.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0)
    }.sorted { $0.start < $1.start }
    // A wait and a way for each, one after the other.
    let lane = own.filter { $0.tid == 1 }.sorted { $0.start < $1.start }
    buckets = zip(lane, lane.dropFirst()).compactMap { wait, way in
      guard !wait.name.contains("gradients"), let (count, wire) = Self.gradients(way.name) else { return nil }
      return Bucket(start: wait.start, bytes: count * wire.width)
    }
    guard !buckets.isEmpty else {
      throw Failure.data(path, "a step of one rank, which sends no gradients: trace one of two ranks or more")
    }
  }

  /// "N gradients as WIRE".
  private static func gradients(_ name: String) -> (count: Int, wire: Wire)? {
    let words = name.split(separator: " ")
    guard words.count == 4, let count = Int(words[0]), let wire = Wire(rawValue: String(words[3])) else { return nil }
    return (count, wire)
  }

  private struct Trace: Decodable { let traceEvents: [Event] }

  /// Chrome's trace event format: microseconds.
  private struct Event: Decodable {
    let name: String, ph: String, pid: Int, tid: Int
    let cat: String?
    let ts: Double?, dur: Double?
    var start: Double { (ts ?? 0) * 1e-6 }
  }
}
