import Foundation
import Tensors

/// A job of one rank, without MPI.
package final class SoloCommunicator: BackgroundCommunicator {
  package let rank = 0, size = 1

  package init() {}

  package func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {}
  package func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {}
  package func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {}
  package func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws {}
  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {}
  package func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  {
    all.copyMemory(from: bytes)
  }
  package func barrier() throws {}
  package func shard(of count: Int) -> Range<Int> { 0..<count }
  package func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {}
  package func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws {}
  package func duplicate() throws -> any BackgroundCommunicator { SoloCommunicator() }
  package func abort(_ code: Int32) -> Never { exit(code) }
}
