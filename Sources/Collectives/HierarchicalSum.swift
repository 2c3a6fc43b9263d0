/// The sum over all ranks of a job on several hosts, so that little crosses the network: each host's ranks reduce among
/// themselves, each of them then sums its chunk with the ranks of its number on the other hosts, and the host's ranks gather
/// what they have. Where hosts have different numbers of ranks, one ring goes through all of them, host by host.
///
/// The additions of an element have an order that follows from the hosts, and every rank gets the same sum.
package struct HierarchicalSum: ShardedSums {
  /// In memory that ranks share a message costs more than its bytes.
  private static let hostSegment = (bytes: 256 << 10, window: 4)
  /// On a network: behind what a rank has under way others' messages wait for a millisecond or two at 1 Gbit/s. A message goes without
  /// a handshake (of Open MPI over TCP: up to 64 KiB).
  package static let networkSegment = (bytes: 32 << 10, window: 4)

  /// Ranks of this host, by rank; of this number on every host, by host.
  private let host: [Int], peers: [Int]
  private let messages: any PointToPoint

  /// - Parameter hosts: the host of each rank, whatever it is called.
  package init(_ messages: any PointToPoint, hosts: [String]) {
    self.messages = messages
    // The ranks of each host, hosts by their first ranks.
    let groups = Dictionary(grouping: hosts.indices) { hosts[$0] }.values.sorted { $0[0] < $1[0] }
    let own = groups.first { $0.contains(messages.rank) }!
    if groups.allSatisfy({ $0.count == own.count }) {
      let number = own.firstIndex(of: messages.rank)!
      (host, peers) = (own, groups.map { $0[number] })
    } else {
      (host, peers) = ([messages.rank], groups.flatMap { $0 })
    }
  }

  /// In place, the same on every rank. Every rank makes the same calls with the same counts.
  package func sum<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    if peers.count == 1 { return try inside.allreduce(values) }
    try inside.reduceScatter(values)
    try across.allreduce(chunk(of: values))
    try inside.allgather(values)
  }

  package func shard(of count: Int) -> Range<Int> {
    let chunk = inside.ownChunk(of: count), part = across.ownChunk(of: chunk.count)
    return chunk.lowerBound + part.lowerBound..<chunk.lowerBound + part.upperBound
  }

  package func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    try inside.reduceScatter(values)
    try across.reduceScatter(chunk(of: values))
  }

  package func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws {
    try across.allgather(chunk(of: values))
    try inside.allgather(values)
  }

  /// What this rank sums with those of its number on other hosts.
  private func chunk<T>(of values: UnsafeMutableBufferPointer<T>) -> UnsafeMutableBufferPointer<T> {
    UnsafeMutableBufferPointer(rebasing: values[inside.ownChunk(of: values.count)])
  }

  private var inside: Ring {
    Ring(host, messages, segmentBytes: Self.hostSegment.bytes, window: Self.hostSegment.window)
  }
  private var across: Ring {
    Ring(peers, messages, segmentBytes: Self.networkSegment.bytes, window: Self.networkSegment.window)
  }
}
