import CMPI
import Foundation
import Tensors

/// The ranks that mpirun (or srun) started.
package final class MPICommunicator: Communicator, PointToPoint, @unchecked Sendable {
  package let rank: Int, size: Int
  /// This rank's number on its node, and how many ranks the node has.
  package let nodeRank: Int, nodeSize: Int
  private let comm: OpaquePointer

  /// Whether this process was started by an MPI launcher.
  package static var isLaunched: Bool { Launched.rank != nil }

  /// Starts MPI. Once a process. Throws where the library does not grant MPI_THREAD_MULTIPLE, and where the launcher is another
  /// MPI's, under which every process is a job of one rank.
  package static func start() throws -> MPICommunicator {
    var multiple: Int32 = 0
    try checkMPI(lineup_mpi_start(&multiple), "start MPI")
    guard multiple != 0 else {
      throw Failure.internal("MPI: the library does not grant MPI_THREAD_MULTIPLE (\(libraryVersion))")
    }
    let all = try MPICommunicator()
    if all.size == 1, let started = Launched.size, started > 1 {
      throw Failure(
        .missing,
        "MPI: the launcher has started \(started) ranks, of which \(libraryVersion) knows this one only: it is another MPI's"
      )
    }
    return all
  }

  private init() throws {
    var comm: OpaquePointer?
    var rank: Int32 = 0, size: Int32 = 0, nodeRank: Int32 = 0, nodeSize: Int32 = 0
    try checkMPI(lineup_mpi_open(&comm, &rank, &size), "open a communicator")
    try checkMPI(lineup_mpi_node(comm!, &nodeRank, &nodeSize), "find the ranks of this node")
    self.comm = comm!
    (self.rank, self.size) = (Int(rank), Int(size))
    (self.nodeRank, self.nodeSize) = (Int(nodeRank), Int(nodeSize))
  }

  /// Ends MPI: after the last collective, when all ranks do.
  package func finish() throws {
    lineup_mpi_close(comm)
    try checkMPI(lineup_mpi_finish(), "finish MPI")
  }

  /// Such as "Open MPI v4.1.4" or "MPICH 4.0.2".
  package static var libraryVersion: String {
    let first = mpiText(lineup_mpi_version).split { $0 == "," || $0.isNewline }.first ?? ""
    return first.split(whereSeparator: \.isWhitespace).filter { $0 != "Version:" }.joined(separator: " ")
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    try allreduce(values, LINEUP_MPI_DOUBLE, operation == .sum ? LINEUP_MPI_SUM : LINEUP_MPI_MAX)
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try allreduce(values, LINEUP_MPI_FLOAT, LINEUP_MPI_SUM)
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {
    try allreduce(values, LINEUP_MPI_HALF, LINEUP_MPI_SUM)
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws {
    try allreduce(values, LINEUP_MPI_INT32, LINEUP_MPI_SUM)
  }

  private func allreduce<T>(
    _ values: UnsafeMutableBufferPointer<T>, _ type: lineup_mpi_type, _ operation: lineup_mpi_op
  ) throws {
    for piece in Self.pieces(values.count, of: Self.longestMessage / MemoryLayout<T>.stride) {
      try checkMPI(
        lineup_mpi_allreduce(
          comm, values.baseAddress.map { $0 + piece.lowerBound }, Int32(piece.count), type, operation), "allreduce")
    }
  }

  /// MPI counts in 32 bits: what is longer goes in pieces of this many bytes.
  private static let longestMessage = 1 << 30

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    for piece in Self.pieces(bytes.count, of: Self.longestMessage) {
      try checkMPI(
        lineup_mpi_broadcast(comm, bytes.baseAddress.map { $0 + piece.lowerBound }, Int32(piece.count), Int32(root)),
        "broadcast")
    }
  }

  /// 0..<count cut up; one empty piece where there is nothing, so that every rank makes the call.
  package static func pieces(_ count: Int, of length: Int) -> [Range<Int>] {
    guard count > length else { return [0..<count] }
    return stride(from: 0, to: count, by: length).map { $0..<min(count, $0 + length) }
  }

  package func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  {
    let total = counts.reduce(0, +)
    guard total <= Self.longestMessage else { return try allgatherInParts(bytes, counts: counts, into: all) }
    var offsets: [Int32] = [], offset = 0
    for count in counts {
      offsets.append(Int32(offset))
      offset += count
    }
    try checkMPI(
      lineup_mpi_allgather(
        comm, bytes.baseAddress, Int32(bytes.count), all.baseAddress, counts.map(Int32.init), offsets),
      "allgather")
  }

  /// The part of each rank in turn, broadcast.
  private func allgatherInParts(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer)
    throws
  {
    var offset = 0
    for (root, count) in counts.enumerated() {
      let part = UnsafeMutableRawBufferPointer(rebasing: all[offset..<offset + count])
      if root == rank { part.copyMemory(from: bytes) }
      try broadcast(part, from: root)
      offset += count
    }
  }

  package func barrier() throws { try checkMPI(lineup_mpi_barrier(comm), "barrier") }

  package func duplicate() throws -> any BackgroundCommunicator { try MPIBackground(try MPICommunicator()) }

  package func mailbox() throws -> (any Mailbox)? { size > 1 ? try MPIMailbox(size: size) : nil }

  package func abort(_ code: Int32) -> Never {
    lineup_mpi_abort(code)
    exit(code)
  }
}

/// For a thread that shares its core.
extension MPICommunicator {
  func barrierAsleep() throws { try checkMPI(lineup_mpi_barrier_asleep(comm), "barrier") }

  /// Few values, in place.
  func allreduceAsleep(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    try checkMPI(
      lineup_mpi_allreduce_asleep(
        comm, values.baseAddress, Int32(values.count), LINEUP_MPI_DOUBLE,
        operation == .sum ? LINEUP_MPI_SUM : LINEUP_MPI_MAX), "allreduce")
  }

  package func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws -> any Transfer {
    var transfer: OpaquePointer?
    try checkMPI(lineup_mpi_send(comm, bytes.baseAddress, Int32(bytes.count), Int32(rank), &transfer), "send")
    return MPITransfer(transfer!, "send")
  }

  package func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int) throws -> any Transfer {
    var transfer: OpaquePointer?
    try checkMPI(lineup_mpi_receive(comm, bytes.baseAddress, Int32(bytes.count), Int32(rank), &transfer), "receive")
    return MPITransfer(transfer!, "receive")
  }
}

private struct MPITransfer: Transfer {
  private let handle: OpaquePointer
  private let name: String

  init(_ handle: OpaquePointer, _ name: String) { (self.handle, self.name) = (handle, name) }

  /// Not to be asked again once it is.
  func isDone() throws -> Bool {
    var done: Int32 = 0
    try checkMPI(lineup_mpi_is_done(handle, &done), name)
    return done != 0
  }
}
