import Tensors

/// Another communicator, with a span on the timeline for every call that waits for ranks; so the timeline also tells what
/// is being waited for.
package final class TimedCommunicator: Communicator {
  package let rank: Int, size: Int, nodeSize: Int
  package let timeline: Timeline
  private let base: any Communicator

  package init(_ base: any Communicator, _ timeline: Timeline) {
    (rank, size, nodeSize) = (base.rank, base.size, base.nodeSize)
    (self.base, self.timeline) = (base, timeline)
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Double>, _ operation: Reduction) throws {
    try measure("allreduce", values.count * 8) { try base.allreduce(values, operation) }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try measure("allreduce", values.count * 4) { try base.allreduce(values) }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Float16>) throws {
    try measure("allreduce", values.count * 2) { try base.allreduce(values) }
  }

  package func allreduce(_ values: UnsafeMutableBufferPointer<Int32>) throws {
    try measure("allreduce", values.count * 4) { try base.allreduce(values) }
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try measure("broadcast", bytes.count) { try base.broadcast(bytes, from: root) }
  }

  package func allgather(_ bytes: UnsafeRawBufferPointer, counts: [Int], into all: UnsafeMutableRawBufferPointer) throws
  {
    try measure("allgather", all.count) { try base.allgather(bytes, counts: counts, into: all) }
  }

  package func barrier() throws { try measure("barrier", 0) { try base.barrier() } }
  package func duplicate() throws -> any BackgroundCommunicator { try base.duplicate() }
  package func mailbox() throws -> (any Mailbox)? { try base.mailbox() }
  package func abort(_ code: Int32) -> Never { base.abort(code) }

  private func measure(_ name: String, _ bytes: Int, _ body: () throws -> Void) rethrows {
    try timeline.measure(.collective, "\(name) \(bytes) B", body)
  }
}
