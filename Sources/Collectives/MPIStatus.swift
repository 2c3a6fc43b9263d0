import CMPI
import Tensors

/// The one door for the status of an MPI call.
func checkMPI(_ status: Int32, _ operation: String) throws {
  guard status != 0 else { return }
  throw Failure(.internal, operation: "MPI: \(operation)", mpiText { lineup_mpi_error(status, $0, $1) })
}

/// What a call of the library writes as text.
func mpiText(_ fill: (UnsafeMutablePointer<CChar>?, Int) -> Void) -> String {
  var bytes = [CChar](repeating: 0, count: 1024)
  fill(&bytes, bytes.count)
  return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
