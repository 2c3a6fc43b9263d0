/// A sum over all ranks in two halves, between which every rank has a part of it.
package protocol ShardedSums: Sendable {
  /// Of `count` values, those whose sum this rank has after `reduceScatter`; all ranks' cover them.
  func shard(of count: Int) -> Range<Int>
  /// Element-wise over all ranks, in place: this rank's shard has what `allreduce` would leave there, the rest anything.
  func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws
  /// The shard of every rank on all, in place.
  func allgather<T: Summand>(shardsOf values: UnsafeMutableBufferPointer<T>) throws
}

/// What a thread beside a computation works with.
package typealias BackgroundCommunicator = Communicator & ShardedSums
