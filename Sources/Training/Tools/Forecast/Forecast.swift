import Collectives

/// A step of one rank as it would be on many hosts, from a measured one and what the network does.
///
/// Every rank has as many images as in the measured step. What is added to it:
///
/// - Each collective that the step waits for (batch-norm sums, mostly) takes ⌈log₂ hosts⌉ messages one after the other, and where
///   a bucket is under way, stands behind a window of each of the host's ranks.
/// - Each bucket, begun when it is whole and the one before is summed, takes a barrier of ⌈log₂ hosts⌉ messages and 2(hosts − 1)
///   steps of a ring. A step takes as long as the host's chunk on its link, or, where that is more, a message for each window of a
///   rank's part of it, or for its first segment. What goes on after the backward pass is waited for.
/// - What crosses costs the computation on the same core time.
///
/// Slower hosts and congested switches are not foreseen.
package struct Forecast: Sendable, Equatable, Encodable {
  package enum Limit: String, Sendable, Encodable { case computation, collectives, gradients, sending }

  package let hosts: Int, ranks: Int
  /// Of a step; of these what collectives, gradients after the backward pass, and the cost of sending them add.
  package let seconds: Double, collectives: Double, gradients: Double, sending: Double
  /// Images a second beside those of as many hosts that need not talk.
  package let efficiency: Double
  /// What most of the loss is due to; the computation where it is less than a twentieth.
  package let limit: Limit

  /// What a rank has under way of a bucket.
  private static let segment = Double(HierarchicalSum.networkSegment.bytes)
  private static let window = segment * Double(HierarchicalSum.networkSegment.window)
  /// What a thread that sleeps while it waits is late by.
  private static let wake = 1.5e-4

  /// - Parameter ranksPerHost: of the hosts to come.
  package init(_ profile: StepProfile, _ network: NetworkTraits, hosts: Int, ranksPerHost: Int) {
    (self.hosts, ranks) = (hosts, hosts * ranksPerHost)
    guard hosts > 1 else {
      (seconds, collectives, gradients, sending, efficiency, limit) = (profile.seconds, 0, 0, 0, 1, .computation)
      return
    }
    let rounds = NetworkTraits.rounds(of: hosts), ring = Double(2 * (hosts - 1))
    // Ranks of a host share its link, and each has its part of a bucket.
    func onTheWay(_ bytes: Int) -> Double {
      let chunk = Double(bytes) / Double(hosts), own = chunk / Double(ranksPerHost)
      let message = network.latency + Self.wake
      let step = max(
        chunk / network.bytesPerSecond, own / Self.window * message,
        min(own, Self.segment) / network.bytesPerSecond + message)
      return rounds * message + ring * step
    }
    // By how much the computation is late, of that before the backward pass ends, and when the last bucket is summed.
    var late = 0.0, lateBackward = 0.0, waiting = 0.0, stolen = 0.0, free = 0.0
    var waits = profile.collectives[...], buckets = profile.buckets[...]
    while let next = [waits.first?.start, buckets.first?.start].compactMap({ $0 }).min() {
      if let collective = waits.first, collective.start == next {
        waits.removeFirst()
        let own = rounds * (network.latency + Double(collective.bytes) / network.bytesPerSecond)
        let queue = free > next + late ? Self.window * Double(ranksPerHost) / network.bytesPerSecond : 0
        late += own + queue
        waiting += own + queue
      } else {
        let bucket = buckets.removeFirst()
        free = max(free, bucket.start + late) + onTheWay(bucket.bytes)
        let cost = Double(bucket.bytes) * ring / Double(hosts) / Double(ranksPerHost) * network.secondsPerByte
        late += cost
        stolen += cost
      }
      if next < profile.backwardEnd { lateBackward = late }
    }
    let left = max(0, free - profile.backwardEnd - lateBackward)
    (self.collectives, sending, gradients) = (waiting, stolen, left)
    seconds = profile.seconds + late + left
    efficiency = profile.seconds / seconds
    let largest = [(Limit.collectives, waiting), (.gradients, left), (.sending, stolen)].max { $0.1 < $1.1 }!.0
    limit = efficiency > 1 / 1.05 ? .computation : largest
  }
}
