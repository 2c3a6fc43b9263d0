import CMPI
import Tensors

/// Letters over a communicator of its own.
final class MPIMailbox: Mailbox, @unchecked Sendable {
  private let comm: OpaquePointer
  /// The letter to each rank that is on its way.
  private var underWay: [OpaquePointer?]
  private var buffer = [UInt8](repeating: 0, count: Letter.longest)

  init(size: Int) throws {
    var comm: OpaquePointer?
    var rank: Int32 = 0, count: Int32 = 0
    try checkMPI(lineup_mpi_open(&comm, &rank, &count), "open a mailbox")
    self.comm = comm!
    underWay = Array(repeating: nil, count: size)
  }

  func post(_ letter: [UInt8], to rank: Int) throws {
    precondition(letter.count <= Letter.longest)
    if let before = underWay[rank] {
      var done: Int32 = 0
      try checkMPI(lineup_mpi_is_done(before, &done), "send a letter")
      guard done != 0 else { return }
      underWay[rank] = nil
    }
    try checkMPI(lineup_mpi_post(comm, letter, Int32(letter.count), Int32(rank), &underWay[rank]), "send a letter")
  }

  func receive() throws -> (letter: [UInt8], from: Int)? {
    var from: Int32 = -1, count: Int32 = 0
    let status = buffer.withUnsafeMutableBytes {
      lineup_mpi_next_letter(comm, $0.baseAddress, Int32($0.count), &from, &count)
    }
    try checkMPI(status, "receive a letter")
    return from < 0 ? nil : (Array(buffer[..<Int(count)]), Int(from))
  }
}
