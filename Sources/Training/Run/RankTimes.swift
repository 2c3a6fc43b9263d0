import Collectives
import Storage

/// What the time of this rank's steps went to, since the ranks last told each other: `ranks.jsonl`.
struct RankTimes {
  /// So many steps are told at once.
  static let steps = 16

  private var seconds = 0.0
  /// Seconds of each of `StepShares`.
  private var sums = [Double](repeating: 0, count: StepShares.names.count)
  private var hosts: [String]?

  mutating func add(_ shares: StepShares, seconds: Double) {
    self.seconds += seconds
    for (index, share) in shares.values.enumerated() { sums[index] += share * seconds }
  }

  /// Rank by rank, on all ranks alike, and begins anew; nil where a rank is alone, whose shares `metrics.jsonl` has.
  mutating func take(_ communicator: any Communicator) throws -> [(
    host: String, fields: [(key: String, value: MetricValue)]
  )]? {
    guard communicator.size > 1 else { return nil }
    let all = try communicator.allgather([seconds] + sums)
    let hosts = try self.hosts ?? communicator.hosts()
    self = RankTimes()
    self.hosts = hosts
    return zip(hosts, all).map { host, times in
      let shares = times.dropFirst().map { times[0] > 0 ? $0 / times[0] : 0 }
      return (host, [("seconds", .number(times[0]))] + zip(StepShares.names, shares).map { ($0, .number($1)) })
    }
  }
}
