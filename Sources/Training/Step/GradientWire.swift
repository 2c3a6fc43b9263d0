import Collectives
import Kernels
import Layers
import Tensors

/// What gradients cross ranks as.
package enum Wire: String, Choice {
  /// Exact: the sums of `ParameterGradients` carry no rounding, so that any number of ranks takes the same course.
  case float64
  /// Exact likewise, in half the bytes: multiples of a step a tensor, as coarse as the last step's gradient allows
  /// (`GradientMagnitudes`). A bucket whose sums might not fit crosses as float64, which changes none of them.
  case int32
  /// Half the bytes; each rank's share and every sum rounded to 24 bits.
  case float32
  /// A quarter; 11 bits. Each bucket is scaled so that its sum cannot overflow.
  case float16

  /// Bytes of a gradient.
  package var width: Int {
    switch self {
    case .float64: 8
    case .int32, .float32: 4
    case .float16: 2
    }
  }
}

/// The buckets of a buffer of gradients and how one is summed.
final class Buckets: @unchecked Sendable {
  let end: Int
  private let values: Buffer<Double>
  private let grid: SumGrid
  private let length: Int
  private let wire: Wire
  /// Whether a rank is to have the sums of its shard only.
  private let isSharded: Bool
  private let communicator: any BackgroundCommunicator
  private let half: Kernels<Float16>, single: Kernels<Float>, double: Kernels<Double>
  /// A bucket as it crosses ranks, if not in place.
  private let integers: Buffer<Int32>?, singles: Buffer<Float>?, halves: Buffer<Float16>?

  init(
    _ values: Buffer<Double>, _ grid: SumGrid, wire: Wire, bytes: Int, isSharded: Bool,
    _ communicator: any BackgroundCommunicator, _ path: KernelPath
  ) {
    (half, single, double) = (Kernels(path: path), Kernels(path: path), Kernels(path: path))
    (self.values, self.grid, self.wire, self.isSharded, self.communicator) = (
      values, grid, wire, isSharded, communicator
    )
    end = values.count
    length = max(1, min(end, bytes / wire.width))
    integers = wire == .int32 ? Buffer(count: length) : nil
    singles = wire == .float32 ? Buffer(count: length) : nil
    halves = wire == .float16 ? Buffer(count: length) : nil
  }

  func bucket(below end: Int) -> Range<Int> { max(0, end - length)..<end }
  /// The one that begins there; the first takes what is left over by the others.
  func bucket(from start: Int) -> Range<Int> {
    start == 0 ? 0..<end - (end - 1) / length * length : start..<start + length
  }

  /// What this rank has the sums of.
  var shards: ParameterShards {
    guard isSharded else { return ParameterShards([0..<end]) }
    var ranges: [Range<Int>] = [], start = 0
    while start < end {
      ranges.append(shard(of: bucket(from: start)))
      start = bucket(from: start).upperBound
    }
    return ParameterShards(ranges)
  }

  private func shard(of bucket: Range<Int>) -> Range<Int> {
    guard isSharded else { return bucket }
    let shard = communicator.shard(of: bucket.count)
    return bucket.lowerBound + shard.lowerBound..<bucket.lowerBound + shard.upperBound
  }

  /// Every rank's shard of this bucket of `values` on all.
  func gather<A: Element>(_ bucket: Range<Int>, of values: Buffer<A>) throws {
    try gather(shardsOf: UnsafeMutableBufferPointer(rebasing: values.span[bucket]))
  }

  /// The same of shards that stand by themselves, bucket after bucket, of which `take` sees the wholes.
  func gather<A: Element>(
    shards: Buffer<A>, into take: (_ bucket: Range<Int>, UnsafeMutableBufferPointer<A>) -> Void
  ) throws {
    let whole = Buffer<A>(count: length)
    var start = 0, taken = 0
    while start < end {
      let bucket = bucket(from: start), own = shard(of: bucket)
      for i in 0..<own.count { whole[own.lowerBound - start + i] = shards[taken + i] }
      let values = UnsafeMutableBufferPointer(rebasing: whole.span[..<bucket.count])
      try gather(shardsOf: values)
      take(bucket, values)
      (start, taken) = (bucket.upperBound, taken + own.count)
    }
  }

  private func gather<A: Element>(shardsOf values: UnsafeMutableBufferPointer<A>) throws {
    let bytes = UnsafeMutableRawBufferPointer(values)
    if MemoryLayout<A>.size == 4 {
      try communicator.allgather(shardsOf: bytes.bindMemory(to: Float.self))
    } else {
      precondition(MemoryLayout<A>.size == 8)
      try communicator.allgather(shardsOf: bytes.bindMemory(to: Double.self))
    }
  }

  /// On every rank the sum of the bucket over all ranks, or of the rank's shard of it. The wait for the slowest rank and the way of
  /// the bucket are spans of their own.
  func sum(_ bucket: Range<Int>, _ timeline: Timeline) throws {
    let part = UnsafeMutableBufferPointer(rebasing: values.span[bucket])
    let steps = integers.map { UnsafeMutableBufferPointer(rebasing: $0.span[..<part.count]) }
    let largest = steps.map { self.steps(of: bucket, into: $0) }
    let own = shard(of: bucket), kept = own.lowerBound - bucket.lowerBound..<own.upperBound - bucket.lowerBound
    let areIntegers = try timeline.measure(.bucket, "wait for ranks", lane: .communication) {
      if let largest { return try fits(largest) }
      try communicator.barrier()
      return false
    }
    let crossing = wire == .int32 && !areIntegers ? .float64 : wire
    let name = "\(bucket.count) gradients as \(crossing.rawValue)"
    try timeline.measure(.bucket, name, lane: .communication) {
      if areIntegers, let steps {
        try reduce(steps) { try communicator.allreduce(steps) }
        grid.forEachPart(of: own) { part, step in
          let from = steps.baseAddress! + part.lowerBound - bucket.lowerBound
          double.fromSteps(from, part.count, step: step, into: values.pointer + part.lowerBound)
        }
      } else if let singles {
        let wire = UnsafeMutableBufferPointer(rebasing: singles.span[..<part.count])
        single.narrow(part.baseAddress!, part.count, into: wire.baseAddress!)
        try reduce(wire) { try communicator.allreduce(wire) }
        single.widen(wire.baseAddress! + kept.lowerBound, kept.count, into: part.baseAddress! + kept.lowerBound)
      } else if let halves {
        try sum(part, as: UnsafeMutableBufferPointer(rebasing: halves.span[..<part.count]), keeping: kept)
      } else {
        try reduce(part) { try communicator.allreduce(part, .sum) }
      }
    }
  }

  private func reduce<T: Summand>(_ values: UnsafeMutableBufferPointer<T>, whole: () throws -> Void) throws {
    if isSharded { try communicator.reduceScatter(values) } else { try whole() }
  }

  /// The bucket in steps of the grid; returns the largest. ∞ where one is not finite or nothing is rounded.
  private func steps(of bucket: Range<Int>, into wire: UnsafeMutableBufferPointer<Int32>) -> Double {
    var largest = 0.0
    grid.forEachPart(of: bucket) { part, step in
      let to = wire.baseAddress! + part.lowerBound - bucket.lowerBound
      largest = max(
        largest,
        step > 0 ? double.toSteps(values.pointer + part.lowerBound, part.count, step: step, into: to) : .infinity)
    }
    return largest
  }

  /// Whether all sums fit 31 bits, by the ranks' largest numbers of steps.
  private func fits(_ largest: Double) throws -> Bool {
    var bound = [largest]
    try communicator.allreduce(&bound, .sum)
    return bound[0] <= Double(Int32.max)
  }

  /// Times the power of two that keeps the sum of all ranks below float16's largest number, 65504.
  private func sum(
    _ part: UnsafeMutableBufferPointer<Double>, as wire: UnsafeMutableBufferPointer<Float16>, keeping kept: Range<Int>
  ) throws {
    let own = double.magnitudes(part.baseAddress!, part.count).largest
    var largest = [own.isFinite ? own : .infinity]
    try communicator.allreduce(&largest, .max)
    let bound = largest[0] * Double(communicator.size)
    let exponent = bound > 0 && bound.isFinite ? min(1020, 14 - bound.exponent) : 0
    let scale = Double(sign: .plus, exponent: exponent, significand: 1)
    half.narrow(part.baseAddress!, part.count, by: scale, into: wire.baseAddress!)
    try reduce(wire) { try communicator.allreduce(wire) }
    half.widen(
      wire.baseAddress! + kept.lowerBound, kept.count, by: 1 / scale, into: part.baseAddress! + kept.lowerBound)
  }
}
