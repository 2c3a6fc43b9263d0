import Foundation
import Tensors

/// What a rank knows of all ranks, from their letters: the watchdog's memory, without its clock and its thread.
///
/// Times are nanoseconds of this rank's own monotonic clock; letters carry durations, so clocks need not agree.
package struct Roll {
  /// Where a rank stood when it wrote.
  package struct Entry: Codable, Equatable, Sendable {
    package var rank: Int
    /// Counted from 1; 0 before the first.
    package var step: Int
    package var phase: String
    /// The collective it waits in, if any.
    package var wait: String?
    /// Seconds that it has waited there, seconds since it last got on with anything, and since it was last heard of.
    package var waited = 0.0, idle = 0.0, silent = 0.0
  }

  /// What to say and why.
  package enum Verdict: Equatable, Sendable {
    case missing([Entry], waited: Double, wait: String)
    /// All ranks answer and all wait: not for one another.
    case apart([Entry], waited: Double)
  }

  /// As many as fit a letter.
  package static let worst = 5
  private let rank: Int, size: Int
  private var progress: UInt64 = 0, progressAt: UInt64
  private var own: Entry
  private var resumedAt: UInt64
  /// What was last heard of each rank and when: on rank 0 of all, elsewhere of rank 0 and of those that it finds worst.
  private var heard: [Int: (entry: Entry, at: UInt64)] = [:]

  package init(rank: Int, size: Int, now: UInt64) {
    (self.rank, self.size, progressAt, resumedAt) = (rank, size, now, now)
    own = Entry(rank: rank, step: 0, phase: "start")
    for other in 0..<size where other != rank && (rank == 0 || other == 0) {
      heard[other] = (Entry(rank: other, step: 0, phase: "start"), now)
    }
  }

  /// Whom to write to.
  package var recipients: Range<Int> { rank == 0 ? 1..<size : 0..<1 }

  package mutating func note(own standing: Timeline.Standing, progress: UInt64, now: UInt64) {
    if progress != self.progress { (self.progress, progressAt) = (progress, now) }
    own = Entry(
      rank: rank, step: standing.step, phase: Self.short(standing.phase), wait: (standing.wait?.name).map(Self.short),
      waited: standing.wait.map { Self.seconds(from: $0.since, to: now) } ?? 0,
      idle: Self.seconds(from: progressAt, to: now))
  }

  /// This rank was not there for a while: everybody has until `now` plus the limit again.
  package mutating func resume(now: UInt64) {
    resumedAt = now
    for (other, known) in heard { heard[other] = (known.entry, now) }
  }

  /// To rank 0 how this rank does; from rank 0 how it does itself, and the worst of the others.
  package func letter(now: UInt64) -> [UInt8] {
    var entries = [own]
    if rank == 0 {
      let others = heard.values.map { heard in
        var entry = heard.entry
        entry.silent = Self.seconds(from: heard.at, to: now)
        return entry
      }
      entries += others.sorted { Self.badness($0) > Self.badness($1) }.prefix(Self.worst)
    }
    return [UInt8]((try? JSONEncoder().encode(entries)) ?? Foundation.Data())
  }

  package mutating func receive(_ letter: [UInt8], from sender: Int, now: UInt64) {
    guard let entries = try? JSONDecoder().decode([Entry].self, from: Foundation.Data(letter)) else { return }
    if rank != 0 { heard = heard.filter { $0.key == 0 } }
    for entry in entries where entry.rank != rank {
      let before = UInt64(max(0, entry.silent) * 1e9)
      heard[entry.rank] = (entry, now > before ? now - before : 0)
    }
  }

  /// nil as long as this rank has not waited for `limit` nanoseconds, or a rank is only slow.
  package func verdict(limit: UInt64, now: UInt64) -> Verdict? {
    let bound = Double(limit) * 1e-9
    guard let wait = own.wait, own.waited >= bound, Self.seconds(from: resumedAt, to: now) >= bound else { return nil }
    // What is known here of the others came from rank 0, and is no younger than its last letter.
    let known = rank == 0 ? now : heard[0]?.at ?? now
    let others = heard.values.map { heard in
      var entry = heard.entry
      entry.silent = Self.seconds(from: heard.at, to: heard.entry.rank == 0 ? now : known)
      return entry
    }.sorted { $0.rank < $1.rank }
    // A letter may be as old as a few intervals, and a rank stopped a moment after this one began to wait.
    let missing = others.filter { $0.silent >= 0.6 * bound || ($0.wait == nil && $0.idle + $0.silent >= 0.9 * bound) }
    if !missing.isEmpty { return .missing(missing, waited: own.waited, wait: wait) }
    // Known of all ranks on rank 0, which tells of the one that has waited least.
    guard own.waited >= 1.5 * bound, others.allSatisfy({ $0.wait != nil && $0.waited >= bound }) else { return nil }
    return .apart(others + [own], waited: own.waited)
  }

  /// Worst is a rank that is not heard of, then one that stands still; among those that wait, the one that waits least.
  private static func badness(_ entry: Entry) -> Double {
    entry.silent * 1e6 + (entry.wait == nil ? 1e5 + entry.idle : -entry.waited)
  }

  private static func seconds(from start: UInt64, to end: UInt64) -> Double {
    end > start ? Double((end - start) / 1_000_000) / 1000 : 0
  }
  private static func short(_ text: String) -> String { String(text.prefix(40)) }
}

extension Roll.Verdict {
  /// One line; `hosts` by rank.
  package func line(hosts: [String]) -> String {
    func seconds(_ value: Double) -> String { value < 10 ? String(format: "%.1f s", value) : "\(Int(value)) s" }
    func place(_ entry: Roll.Entry) -> String { entry.step > 0 ? "step \(entry.step), \(entry.phase)" : entry.phase }
    func name(_ entry: Roll.Entry) -> String { "rank \(entry.rank) on \(hosts[entry.rank])" }
    switch self {
    case .missing(let entries, let waited, let wait):
      let names = entries.map { entry in
        entry.silent >= entry.idle || entry.wait != nil
          ? "\(name(entry)) is missing: not heard of for \(seconds(entry.silent)), last seen in \(place(entry))"
            + (entry.wait.map { ", waiting in \($0)" } ?? "")
          : "\(name(entry)) is missing: it has stood still for \(seconds(entry.idle)) in \(place(entry))"
      }
      return names.joined(separator: "; ") + "; waited \(seconds(waited)) in \(wait) (watchdog.seconds)"
    case .apart(let entries, let waited):
      let waits = entries.sorted { $0.rank < $1.rank }.map { "\(name($0)) in \($0.wait ?? "nothing") (\(place($0)))" }
      return
        "all ranks answer, but wait apart for \(seconds(waited)): \(waits.joined(separator: "; ")) (watchdog.seconds)"
    }
  }
}
