import Foundation
import Storage
import Tensors

/// One measured step of a rank: what a forecast starts from. Read from what `lineup train --trace` writes.
package struct StepProfile: Sendable, Equatable {
  /// What crosses ranks at once.
  package struct Crossing: Sendable, Equatable {
    /// Since the step began, in seconds.
    package let start: Double
    /// On the wire.
    package let bytes: Int

    package init(start: Double, bytes: Int) { (self.start, self.bytes) = (start, bytes) }
  }

  /// Of the step, and up to the end of its backward pass.
  package let seconds: Double, backwardEnd: Double
  /// What the ranks wait for together on the thread that runs the step.
  package let collectives: [Crossing]
  /// Gradients, while the backward pass goes on: a bucket begins when this rank has it whole, or as soon as the one before is summed.
  package let buckets: [Crossing]
  /// The ranks that made the step.
  package let ranks: Int

  package init(
    seconds: Double, backwardEnd: Double, collectives: [Crossing], buckets: [Crossing], ranks: Int
  ) {
    (self.seconds, self.backwardEnd) = (seconds, backwardEnd)
    (self.collectives, self.buckets, self.ranks) = (collectives, buckets, ranks)
  }

  /// Of rank 0; of the others, that they are there.
  /// - Throws: `Failure.data` for a file that is no trace, or one of a rank that was alone: it has no buckets.
  package init(trace path: String) throws {
    let file = try InputFile.read(path, limit: 1 << 30)
    let trace: Trace
    do {
      trace = try JSONDecoder().decode(Trace.self, from: Data(file))
    } catch {
      throw Failure.data(path, "not a trace of lineup train --trace")
    }
    let spans = trace.traceEvents.filter { $0.ph == "X" },
      own = spans.filter { $0.pid == 0 && (0...1).contains($0.tid) }
    if let wrong = own.first(where: { !$0.isSound }) {
      throw Failure.data(path, "\(wrong.name) of rank 0 has no beginning or length that a step can have")
    }
    guard let backward = own.first(where: { $0.cat == "phase" && $0.name == "backward" }) else {
      throw Failure.data(path, "has no backward pass of rank 0: not a trace of lineup train --trace")
    }
    let pids = Set(spans.map(\.pid))
    guard pids == Set(0..<pids.count) else {
      throw Failure.data(path, "ranks \(pids.sorted().map(String.init).joined(separator: ", ")): some are missing")
    }
    guard pids.count > 1 else {
      throw Failure.data(path, "a step of one rank, which sends no gradients: trace one of two ranks or more")
    }
    ranks = pids.count
    let step = own.filter { $0.tid == 0 }, origin = step.map(\.start).min()!
    seconds = step.map(\.end).max()! - origin
    backwardEnd = backward.end - origin
    collectives = step.filter { $0.cat == "collective" }.map {
      Crossing(start: $0.start - origin, bytes: Self.count(of: $0.name.split(separator: " ").dropFirst().first) ?? 0)
    }.sorted { $0.start < $1.start }
    if own.contains(where: { $0.tid == 1 && $0.name.hasSuffix(" parameters") }) {
      throw Failure.data(path, "a step with optimizer.sharded, whose way back a forecast does not know")
    }
    // A wait and a way for each, one after the other.
    let lane = own.filter { $0.tid == 1 }.sorted { $0.start < $1.start }
    buckets = try stride(from: 0, to: lane.count, by: 2).map { index in
      let way = index + 1 < lane.count ? lane[index + 1].name : ""
      guard !lane[index].name.contains("gradients"), let (count, wire) = Self.gradients(way) else {
        throw Failure.data(path, "bucket \(index / 2) of rank 0, \"\(way)\", is not a wait and N gradients as WIRE")
      }
      return Crossing(start: lane[index].start - origin, bytes: count * wire.width)
    }
    guard !buckets.isEmpty else { throw Failure.data(path, "has no buckets of gradients of rank 0") }
  }

  /// "N gradients as WIRE".
  private static func gradients(_ name: String) -> (count: Int, wire: Wire)? {
    let words = name.split(separator: " ")
    guard words.count == 4, let count = count(of: words[0]), let wire = Wire(rawValue: String(words[3])) else {
      return nil
    }
    return (count, wire)
  }

  /// Of bytes or gradients: no more than a terabyte of them.
  private static func count(of word: Substring?) -> Int? {
    word.flatMap { Int($0) }.flatMap { 0...1 << 40 ~= $0 ? $0 : nil }
  }

  private struct Trace: Decodable { let traceEvents: [Event] }

  /// Chrome's trace event format: microseconds.
  private struct Event: Decodable {
    let name: String, ph: String, pid: Int, tid: Int
    let cat: String?
    let ts: Double?, dur: Double?
    var start: Double { ts! * 1e-6 }
    var end: Double { (ts! + dur!) * 1e-6 }
    /// Up to a day; a microsecond is lost where times are rounded.
    var isSound: Bool { ts.map { abs($0) < 8.64e10 } ?? false && dur.map { 0..<8.64e10 ~= $0 } ?? false }
  }
}
