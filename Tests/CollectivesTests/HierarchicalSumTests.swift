import Collectives
import Foundation
import Synchronization
import Tensors
import Testing

@Suite struct HierarchicalSumTests {
  /// Jobs by the host of each rank.
  static let jobs = [
    ["a"], ["a", "a"], ["a", "b"], ["a", "a", "a"], ["a", "b", "c"], ["a", "a", "b", "b"], ["a", "b", "a", "b"],
    ["a", "a", "b"],
    ["a", "b", "b", "c", "c"], ["a", "a", "a", "b", "b", "b"],
  ]

  /// Sums `count` numbers of each rank; returns those of every rank and what was sent.
  private static func sums<T: Summand & Sendable & Equatable>(
    _ hosts: [String], _ count: Int, seed: UInt64 = 1, _ value: @escaping @Sendable (_ rank: Int, _ index: Int) -> T
  ) throws -> (results: [[T]], office: PostOffice) {
    let office = PostOffice(hosts.count, seed: seed)
    let results = try ThreadCommunicator.run(hosts.count) { communicator in
      let rank = communicator.rank
      let sums = HierarchicalSum(office.desk(of: rank), hosts: hosts),
        values = Buffer<T>((0..<count).map { value(rank, $0) })
      try sums.sum(values.span)
      return values.array
    }
    return (results, office)
  }

  @Test(arguments: jobs, [0, 1, 2, 7, 1000, 50_000]) func allRanksHaveTheSum(_ hosts: [String], _ count: Int) throws {
    let n = Double(hosts.count), ranks = n * (n + 1) / 2
    let (doubles, office) = try Self.sums(hosts, count) { Double(($0 + 1) * ($1 % 97)) }
    #expect(doubles.allSatisfy { $0 == (0..<count).map { ranks * Double($0 % 97) } })
    #expect(office.isEmpty)
    let (integers, _) = try Self.sums(hosts, count) { Int32.max - Int32($0 + $1 % 5) }
    #expect(integers.allSatisfy { $0 == integers[0] })
    for index in integers[0].indices {
      let expected = hosts.indices.reduce(Int32(0)) { $0 &+ (Int32.max - Int32($1 + index % 5)) }
      #expect(integers[0][index] == expected)
    }
  }

  /// Numbers of which the sum depends on the order: it may be any, but the same on all ranks and in every run.
  @Test(arguments: jobs) func ranksAgreeOnEveryBit(_ hosts: [String]) throws {
    let value = { @Sendable (rank: Int, index: Int) in Float(sin(Double(rank * 31_337 + index))) }
    let half = { @Sendable (rank: Int, index: Int) in Float16(value(rank, index)) }
    let singles = try Self.sums(hosts, 30_000, value).results
    #expect(singles.allSatisfy { $0 == singles[0] })
    #expect(try Self.sums(hosts, 30_000, seed: 2, value).results[0] == singles[0])
    let halves = try Self.sums(hosts, 30_000, half).results
    #expect(halves.allSatisfy { $0 == halves[0] })
    for index in stride(from: 0, to: 30_000, by: 7) {
      let exact = hosts.indices.reduce(0.0) { $0 + Double(value($1, index)) }
      #expect(abs(Double(singles[0][index]) - exact) < 1e-6 * Double(hosts.count))
      #expect(abs(Double(halves[0][index]) - exact) < 4e-3 * Double(hosts.count))
    }
  }

  /// The two halves of a sum: every rank has its shard of what the whole sum would be, to the last bit, and then all of it.
  @Test(arguments: jobs, [0, 1, 7, 1000, 30_000]) func shardsAreThoseOfTheSum(_ hosts: [String], _ count: Int) throws {
    let value = { @Sendable (rank: Int, index: Int) in Float(sin(Double(rank * 31_337 + index))) }
    let whole = try Self.sums(hosts, count, value).results[0]
    let office = PostOffice(hosts.count, seed: 3)
    let found = try ThreadCommunicator.run(hosts.count) { communicator in
      let sums = HierarchicalSum(office.desk(of: communicator.rank), hosts: hosts),
        values = Buffer<Float>((0..<count).map { value(communicator.rank, $0) })
      try sums.reduceScatter(values.span)
      let shard = sums.shard(of: count), own = Array(values.span[shard])
      // What is not its own is anything.
      for index in 0..<count where !shard.contains(index) { values[index] = .nan }
      try sums.allgather(shardsOf: values.span)
      return (shard: shard, own: own, all: values.array)
    }
    #expect(office.isEmpty)
    #expect(found.flatMap { Array($0.shard) }.sorted() == Array(0..<count))
    #expect(found.allSatisfy { $0.own == Array(whole[$0.shard]) && $0.all == whole })
  }

  /// A host sends and receives what a ring of hosts has to, however many ranks it has.
  @Test func littleCrossesTheNetwork() throws {
    let hosts = ["a", "a", "a", "b", "b", "b"], count = 60_000
    let (_, office) = try Self.sums(hosts, count) { Double($0 + $1) }
    let crossing = office.sent.filter { hosts[$0.from] != hosts[$0.to] }.reduce(0) { $0 + $1.bytes }
    #expect(crossing == 2 * 8 * count)
  }

  /// So that the messages of others wait behind little.
  @Test(arguments: [["a", "b"], ["a", "b", "c"]]) func littleIsUnderWayAtATime(_ hosts: [String]) throws {
    let (_, office) = try Self.sums(hosts, 400_000) { Double($0 + $1) }
    #expect(office.sent.count > 100 && office.sent.allSatisfy { $0.bytes <= 32 << 10 })
    #expect(office.mostUnderWay <= 4 * hosts.count)
  }

  @Test func anErrorOfAMessageIsThrown() throws {
    let office = PostOffice(2, seed: 1)
    office.close()
    #expect(throws: PostOffice.Closed.self) {
      _ = try ThreadCommunicator.run(2) { communicator in
        let values = Buffer<Double>(count: 1000)
        try HierarchicalSum(office.desk(of: communicator.rank), hosts: ["a", "b"]).sum(values.span)
      }
    }
  }
}

/// Messages in memory: a send is done when the other side has taken its bytes, which may take some looks.
private final class PostOffice: Sendable {
  struct Closed: Error {}
  struct Message { var from: Int, to: Int, bytes: Int }

  private struct State {
    var sends: [[[Sent]]]
    var sent: [Message] = []
    var mostUnderWay = 0
    var isClosed = false
    var random: CounterRandom
  }

  fileprivate final class Sent: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    var isTaken = false
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }
  }

  private let state: Mutex<State>

  init(_ size: Int, seed: UInt64) {
    let none = Array(repeating: Array(repeating: [Sent](), count: size), count: size)
    state = Mutex(State(sends: none, random: CounterRandom(seed: seed, purpose: .probing)))
  }

  var sent: [Message] { state.withLock { $0.sent } }
  /// Messages from one rank to another that were not taken yet, at most.
  var mostUnderWay: Int { state.withLock { $0.mostUnderWay } }
  var isEmpty: Bool { state.withLock { $0.sends.allSatisfy { $0.allSatisfy(\.isEmpty) } } }

  func close() { state.withLock { $0.isClosed = true } }
  func desk(of rank: Int) -> Desk { Desk(rank: rank, office: self) }

  struct Desk: PointToPoint {
    let rank: Int
    let office: PostOffice

    func send(_ bytes: UnsafeRawBufferPointer, to other: Int) throws -> any Transfer {
      let sent = Sent(bytes)
      office.state.withLock { state in
        state.sends[rank][other].append(sent)
        state.sent.append(Message(from: rank, to: other, bytes: bytes.count))
        state.mostUnderWay = max(state.mostUnderWay, state.sends[rank][other].count)
      }
      return Leaving(sent: sent, office: office)
    }

    func receive(_ bytes: UnsafeMutableRawBufferPointer, from other: Int) throws -> any Transfer {
      Arriving(bytes: bytes, from: other, to: rank, office: office)
    }
  }

  private struct Leaving: Transfer {
    let sent: Sent
    let office: PostOffice
    func isDone() throws -> Bool {
      try office.state.withLock { state in
        if state.isClosed { throw Closed() }
        return sent.isTaken
      }
    }
  }

  /// Asked for in the order of its kind.
  private struct Arriving: Transfer {
    let bytes: UnsafeMutableRawBufferPointer
    let from: Int, to: Int
    let office: PostOffice
    func isDone() throws -> Bool {
      try office.state.withLock { state in
        if state.isClosed { throw Closed() }
        guard let first = state.sends[from][to].first, state.random.next() % 3 > 0 else { return false }
        precondition(first.bytes.count == bytes.count, "\(first.bytes.count) bytes came where \(bytes.count) should")
        bytes.copyMemory(from: first.bytes)
        first.isTaken = true
        state.sends[from][to].removeFirst()
        return true
      }
    }
  }
}
