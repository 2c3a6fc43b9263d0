import Tensors

/// The ranks of a job and what they do together. Every rank makes the same calls in the same order.
///
/// Reductions leave the same bits on every rank. A failed collective throws on the ranks that notice.
package protocol Communicator: AnyObject, Sendable {
  var rank: Int { get }
  var size: Int { get }
  /// How many of the ranks run on this node.
  var nodeSize: Int { get }
  /// Element-wise over all ranks, in place.
  func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws
  /// Element-wise sum over all ranks, in place.
  func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws
  /// Element-wise sum over all ranks, in place: each addition in float32, rounded to float16.
  func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws
  /// Element-wise sum over all ranks, in place, modulo 2³².
  func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws
  /// The bytes of rank `root` on every rank; the count is the same everywhere.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws
  /// The bytes of all ranks one after the other; `counts` are the bytes of each rank, the same on every rank.
  func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  /// Returns when every rank has called it.
  func barrier() throws
  /// The same ranks in a communicator of its own, for another thread: one that shares a core with a computation, so that barriers
  /// and sums sleep while they wait. Every rank makes one at the same place.
  func duplicate() throws -> any BackgroundCommunicator
  /// Letters between these ranks, or nil where there is nobody to write to. Every rank opens one at the same place.
  func mailbox() throws -> (any Mailbox)?
  /// Ends the whole job at once with this exit code, whatever the other ranks are doing.
  func abort(_ code: Int32) -> Never
}

package enum Reduction: Sendable { case sum, max }

/// Letters beside the collectives: sent while others wait, read when they come, lost where nobody reads. For one thread.
package protocol Mailbox: AnyObject, Sendable {
  /// Sends a letter of at most `Letter.longest` bytes; none where the last one to that rank has not gone yet.
  func post(_ letter: [UInt8], to rank: Int) throws
  /// The oldest letter that has come.
  func receive() throws -> (letter: [UInt8], from: Int)?
}

/// What a mailbox takes: as much as goes without a handshake, so that it needs nothing of a rank that no longer answers.
package enum Letter {
  package static let longest = 2048
}

extension Communicator {
  package var isCoordinator: Bool { rank == 0 }
  package var nodeSize: Int { 1 }
  package func mailbox() throws -> (any Mailbox)? { nil }

  package func allreduce(_ values: inout [Double], _ operation: Reduction) throws {
    try values.withUnsafeMutableBufferPointer { try allreduce($0, operation) }
  }

  /// The host of every rank, by rank.
  package func hosts() throws -> [String] {
    try allgather(Array(Host.name.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The bytes of rank 0 on every rank, whatever their number. The argument counts on rank 0 only.
  package func broadcast(_ bytes: [UInt8]) throws -> [UInt8] {
    var count = UInt64(bytes.count)
    try withUnsafeMutableBytes(of: &count) { try broadcast($0, from: 0) }
    var bytes = isCoordinator ? bytes : [UInt8](repeating: 0, count: Int(count))
    try bytes.withUnsafeMutableBytes { try broadcast($0, from: 0) }
    return bytes
  }

  /// The arrays of every rank, of any length each, in the order of ranks.
  package func allgather<T: BitwiseCopyable>(_ values: [T]) throws -> [[T]] {
    var counts = [Double](repeating: 0, count: size)
    counts[rank] = Double(values.count)
    try allreduce(&counts, .sum)
    let stride = MemoryLayout<T>.stride
    let bytes = counts.map { Int($0) * stride }
    var all = [UInt8](repeating: 0, count: bytes.reduce(0, +))
    try values.withUnsafeBytes { mine in
      try all.withUnsafeMutableBytes { try allgather(mine, counts: bytes, into: $0) }
    }
    var start = 0
    return bytes.map { count in
      defer { start += count }
      return all[start..<start + count].withUnsafeBytes { Array($0.bindMemory(to: T.self)) }
    }
  }

  /// Runs `body` on every rank; where it throws on any, all ranks throw an `AgreedFailure` with the same exit code. The
  /// message is with the first rank that failed, so that one line is printed. What all have agreed on within stays so.
  package func agree<T>(_ body: () throws -> T) throws -> T {
    let result = Result(catching: body)
    var codes = [Double](repeating: 0, count: size)
    if case .failure(let error) = result {
      codes[rank] = Double(((error as? AgreedFailure)?.kind ?? (error as? Failure)?.kind ?? .internal).rawValue)
    }
    try allreduce(&codes, .max)
    guard let first = codes.firstIndex(where: { $0 != 0 }) else { return try result.get() }
    if case .failure(let error as AgreedFailure) = result { throw error }
    let failed = codes.count { $0 != 0 }
    guard case .failure(let error) = result, first == rank else {
      throw AgreedFailure(kind: Failure.Kind(rawValue: Int32(codes[first])) ?? .internal, ranks: failed, of: size)
    }
    throw AgreedFailure(error as? Failure ?? .internal("\(error)"), ranks: failed, of: size)
  }
}

/// A failure that every rank knows of, so that the job ends in order and no rank has to be killed.
package struct AgreedFailure: Error {
  package let kind: Failure.Kind
  /// On one rank, the first that failed, what to print.
  package let failure: Failure?
  /// How many ranks failed, of how many.
  package let ranks: Int, size: Int

  package init(kind: Failure.Kind, ranks: Int = 0, of size: Int = 1) {
    (self.kind, failure, self.ranks, self.size) = (kind, nil, ranks, size)
  }

  package init(_ failure: Failure, ranks: Int, of size: Int) {
    (kind, self.failure, self.ranks, self.size) = (failure.kind, failure, ranks, size)
  }

  /// The line to print on `rank`: with rank and host where not all ranks failed alike.
  package func line(rank: Int) -> String? {
    guard let failure, size > 1 else { return failure?.description }
    if ranks == size { return "all \(size) ranks: \(failure)" }
    guard ranks > 1 else { return failure.at(rank: rank, host: Host.name).description }
    return "rank \(rank) on \(Host.name) and \(ranks - 1) more: \(failure)"
  }
}
