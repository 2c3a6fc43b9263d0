import CMPI
import Foundation
import Tensors

/// The ranks that mpirun (or srun) started.
package final class MPICommunicator: Communicator, @unchecked Sendable {
  package let rank: Int, size: Int
  /// This rank's number on its node, and how many ranks the node has.
  package let nodeRank: Int, nodeSize: Int
  private let comm: OpaquePointer

  /// Whether this process was started by an MPI launcher.
  package static func isLaunched(environment: [String: String] = ProcessInfo.processInfo.environment) -> Bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains { environment[$0] != nil }
  }

  /// Starts MPI. Once a process. Throws where the library does not grant MPI_THREAD_MULTIPLE.
  package static func start() throws -> MPICommunicator {
    var multiple: Int32 = 0
    try checkMPI(lineup_mpi_start(&multiple), "start MPI")
    guard multiple != 0 else {
      throw Failure.internal("MPI: the library does not grant MPI_THREAD_MULTIPLE (\(libraryVersion))")
    }
    return try MPICommunicator()
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

  package static var libraryVersion: String {
    mpiText(lineup_mpi_version).split(separator: ",").first.map(String.init) ?? ""
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    let op = operation == .sum ? LINEUP_MPI_SUM : LINEUP_MPI_MAX
    try checkMPI(
      lineup_mpi_allreduce(comm, values.baseAddress, Int32(values.count), LINEUP_MPI_DOUBLE, op), "allreduce")
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try checkMPI(
      lineup_mpi_allreduce(comm, values.baseAddress, Int32(values.count), LINEUP_MPI_FLOAT, LINEUP_MPI_SUM), "allreduce"
    )
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {
    try checkMPI(
      lineup_mpi_allreduce(comm, values.baseAddress, Int32(values.count), LINEUP_MPI_HALF, LINEUP_MPI_SUM), "allreduce")
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try checkMPI(lineup_mpi_broadcast(comm, bytes.baseAddress, Int32(bytes.count), Int32(root)), "broadcast")
  }

  package func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  {
    var offsets: [Int32] = [], offset = 0
    for count in counts {
      offsets.append(Int32(offset))
      offset += count
    }
    guard offset <= Int32.max else { throw Failure.internal("MPI: allgather of \(offset) bytes is over 2 GiB") }
    try checkMPI(
      lineup_mpi_allgather(
        comm, bytes.baseAddress, Int32(bytes.count), all.baseAddress, counts.map(Int32.init), offsets),
      "allgather")
  }

  package func barrier() throws { try checkMPI(lineup_mpi_barrier(comm), "barrier") }

  package func rendezvous() throws { try checkMPI(lineup_mpi_rendezvous(comm), "barrier") }

  package func duplicate() throws -> any Communicator { try MPICommunicator() }

  package func abort(_ code: Int32) -> Never {
    lineup_mpi_abort(code)
    exit(code)
  }
}

/// The one door for the status of an MPI call.
private func checkMPI(_ status: Int32, _ operation: String) throws {
  guard status != 0 else { return }
  throw Failure.internal("MPI: \(operation): \(mpiText { lineup_mpi_error(status, $0, $1) })")
}

private func mpiText(_ fill: (UnsafeMutablePointer<CChar>?, Int) -> Void) -> String {
  var bytes = [CChar](repeating: 0, count: 1024)
  fill(&bytes, bytes.count)
  return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
