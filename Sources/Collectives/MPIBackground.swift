import Tensors

/// mpirun's ranks for a thread beside a computation on the same core: its barriers and sums sleep while they wait, so up to half a
/// millisecond late, and large sums go in segments (`HierarchicalSum`).
final class MPIBackground: BackgroundCommunicator {
  /// Bytes up to which a sum is one message of the library's own algorithm.
  private static let smallSum = 4096

  private let base: MPICommunicator
  private let sums: HierarchicalSum

  var rank: Int { base.rank }
  var size: Int { base.size }
  var nodeSize: Int { base.nodeSize }

  /// - Parameter base: of this thread alone. Every rank makes one at the same place.
  init(_ base: MPICommunicator) throws {
    self.base = base
    sums = HierarchicalSum(base, hosts: try base.hosts())
  }

  func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    if operation == .sum && values.count * 8 > Self.smallSum { return try sums.sum(values) }
    try base.allreduceAsleep(values, operation)
  }

  func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws { try sums.sum(values) }
  func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws { try sums.sum(values) }
  func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws { try sums.sum(values) }
  func barrier() throws { try base.barrierAsleep() }

  func shard(of count: Int) -> Range<Int> { sums.shard(of: count) }
  func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws { try sums.reduceScatter(values) }
  func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws {
    try sums.allgather(shardsOf: values)
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try base.broadcast(bytes, from: root)
  }
  func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws {
    try base.allgather(bytes, counts: counts, into: all)
  }
  func duplicate() throws -> any BackgroundCommunicator { try base.duplicate() }
  func abort(_ code: Int32) -> Never { base.abort(code) }
}
