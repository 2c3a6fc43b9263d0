import Collectives
import Tensors
import Testing

import Training

/// The watchdog's memory, with a clock that the tests turn.
@Suite struct RollTests {
  /// Ranks that write their letters to one another every tenth of a second.
  private struct Ranks {
    var rolls: [Roll]
    /// What each rank does: nil computes and gets on; else it has waited in a collective since then.
    var waitsSince: [UInt64?]
    /// Ranks that neither write nor read.
    var absent: Set<Int> = []
    /// Ranks that write, but whose step's thread is stuck.
    var stuck: Set<Int> = []
    private(set) var now: UInt64 = 1_000_000_000
    private var progress: UInt64 = 0

    init(_ count: Int) {
      rolls = (0..<count).map { [now] in Roll(rank: $0, size: count, now: now) }
      waitsSince = Array(repeating: nil, count: count)
    }

    mutating func run(seconds: Double) {
      let end = now + UInt64(seconds * 1e9)
      while now < end {
        now += 100_000_000
        progress += 1
        for rank in rolls.indices where !absent.contains(rank) {
          let standing = Timeline.Standing(step: 7, phase: "forward", wait: waitsSince[rank].map { ("allreduce", $0) })
          rolls[rank].note(own: standing, progress: stuck.contains(rank) ? 0 : progress, now: now)
          for other in rolls[rank].recipients where !absent.contains(other) {
            rolls[other].receive(rolls[rank].letter(now: now), from: rank, now: now)
          }
        }
      }
    }

    func verdict(of rank: Int) -> Roll.Verdict? { rolls[rank].verdict(limit: 2_000_000_000, now: now) }

    /// The ranks that `rank` finds missing.
    func missing(on rank: Int) -> [Int]? {
      guard case .missing(let entries, _, _) = verdict(of: rank) else { return nil }
      return entries.map(\.rank)
    }
  }

  private static func waiting(_ count: Int, for rank: Int) -> Ranks {
    var ranks = Ranks(count)
    ranks.run(seconds: 1)
    for other in 0..<count where other != rank { ranks.waitsSince[other] = ranks.now }
    return ranks
  }

  @Test(arguments: [0, 1, 3]) func aRankThatIsNotHeardOfIsNamedByAllOthers(_ rank: Int) {
    var ranks = Self.waiting(4, for: rank)
    ranks.absent = [rank]
    ranks.run(seconds: 1.8)
    for other in 0..<4 { #expect(ranks.verdict(of: other) == nil, "before its time") }
    ranks.run(seconds: 0.5)
    for other in 0..<4 where other != rank {
      // Without rank 0 the others hear of nobody but know that much.
      #expect(ranks.missing(on: other) == [rank], "rank \(other)")
    }
  }

  @Test func aRankThatStandsStillIsNamed() {
    var ranks = Self.waiting(3, for: 2)
    ranks.stuck = [2]
    ranks.run(seconds: 2.5)
    for other in 0..<2 { #expect(ranks.missing(on: other) == [2]) }
    let line = ranks.verdict(of: 0)!.line(hosts: ["a", "b", "c"])
    #expect(line.contains("rank 2 on c is missing: it has stood still for ") && line.contains(" in step 7, forward"))
    #expect(line.hasSuffix(" in allreduce (watchdog.seconds)"))
  }

  @Test func aSlowRankIsWaitedFor() {
    var ranks = Self.waiting(3, for: 1)
    ranks.run(seconds: 60)
    for rank in 0..<3 { #expect(ranks.verdict(of: rank) == nil) }
  }

  @Test func oneThatWasAwayAccusesNobodyAtOnce() {
    var ranks = Self.waiting(3, for: 2)
    ranks.absent = [1]
    ranks.run(seconds: 10)
    ranks.absent = []
    ranks.rolls[1].resume(now: ranks.now)
    // The first letters after an absence may tell of one another's silence.
    ranks.run(seconds: 0.2)
    #expect(ranks.verdict(of: 1) == nil)
  }

  @Test func allThatWaitForNothingAreToldApart() {
    var ranks = Ranks(3)
    ranks.run(seconds: 1)
    for rank in 0..<3 { ranks.waitsSince[rank] = ranks.now }
    ranks.run(seconds: 2.5)
    for rank in 0..<3 { #expect(ranks.verdict(of: rank) == nil, "letters are on their way") }
    ranks.run(seconds: 1)
    for rank in 0..<3 {
      guard case .apart(let entries, let waited) = ranks.verdict(of: rank) else {
        Issue.record("rank \(rank): \(String(describing: ranks.verdict(of: rank)))")
        continue
      }
      #expect(entries.contains { $0.rank == 0 } && waited >= 3)
    }
    let line = ranks.verdict(of: 0)!.line(hosts: ["a", "b", "c"])
    #expect(line.hasPrefix("all ranks answer, but wait apart for ") && line.contains("rank 1 on b in allreduce"))
  }

  /// However many ranks, long names and large numbers.
  @Test func aLetterFitsItsLimit() {
    let name = String(repeating: "\"", count: 80), count = 70_000
    var roll = Roll(rank: 0, size: count, now: 0)
    let standing = Timeline.Standing(step: .max, phase: name, wait: (name, 1))
    for rank in count - 100..<count {
      var other = Roll(rank: rank, size: count, now: 0)
      other.note(own: standing, progress: 1, now: 123_456_789_012_345)
      #expect(other.letter(now: 123_456_789_012_345).count <= Letter.longest)
      roll.receive(other.letter(now: 123_456_789_012_345), from: rank, now: 1)
    }
    roll.note(own: standing, progress: 1, now: 123_456_789_012_345)
    let letter = roll.letter(now: 987_654_321_098_765)
    #expect(letter.count <= Letter.longest, "\(letter.count) bytes")
    // And it arrives.
    var reader = Roll(rank: 1, size: count, now: 0)
    reader.receive(letter, from: 0, now: 987_654_321_098_765)
    reader.note(
      own: Timeline.Standing(step: 1, phase: "", wait: ("barrier", 0)), progress: 1, now: 987_654_321_098_765)
    #expect(reader.verdict(limit: 2_000_000_000, now: 987_654_321_098_765) != nil)
  }

  @Test func lettersThatAreNoneArePassedOver() {
    var roll = Roll(rank: 1, size: 2, now: 0)
    for letter in [[], [0xFF], Array("[{}]".utf8), Array("[{\"rank\": 1e99}]".utf8)] as [[UInt8]] {
      roll.receive(letter, from: 0, now: 5)
    }
    #expect(roll.recipients == 0..<1)
  }
}
