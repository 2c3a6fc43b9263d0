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
  private let communicator: any Communicator
  private let half: Kernels<Float16>, single: Kernels<Float>, double: Kernels<Double>
  /// A bucket as it crosses ranks, if not in place.
  private let integers: Buffer<Int32>?, singles: Buffer<Float>?, halves: Buffer<Float16>?

  init(
    _ values: Buffer<Double>, _ grid: SumGrid, wire: Wire, bytes: Int, _ communicator: any Communicator,
    _ path: KernelPath
  ) {
    (half, single, double) = (Kernels(path: path), Kernels(path: path), Kernels(path: path))
    (self.values, self.grid, self.wire, self.communicator) = (values, grid, wire, communicator)
    end = values.count
    length = max(1, min(end, bytes / wire.width))
    integers = wire == .int32 ? Buffer(count: length) : nil
    singles = wire == .float32 ? Buffer(count: length) : nil
    halves = wire == .float16 ? Buffer(count: length) : nil
  }

  func bucket(below end: Int) -> Range<Int> { max(0, end - length)..<end }

  /// On every rank the sum of the bucket over all ranks. The wait for the slowest rank and the way of the bucket are spans of
  /// their own.
  func sum(_ bucket: Range<Int>, _ timeline: Timeline) throws {
    let part = UnsafeMutableBufferPointer(rebasing: values.span[bucket])
    let steps = integers.map { UnsafeMutableBufferPointer(rebasing: $0.span[..<part.count]) }
    let largest = steps.map { self.steps(of: bucket, into: $0) }
    let areIntegers = try timeline.measure(.bucket, "wait for ranks", lane: .communication) {
      if let largest { return try fits(largest) }
      try communicator.barrier()
      return false
    }
    let crossing = wire == .int32 && !areIntegers ? .float64 : wire
    let name = "\(bucket.count) gradients as \(crossing.rawValue)"
    try timeline.measure(.bucket, name, lane: .communication) {
      if areIntegers, let steps {
        try communicator.allreduce(steps)
        grid.forEachPart(of: bucket) { part, step in
          let from = steps.baseAddress! + part.lowerBound - bucket.lowerBound
          double.fromSteps(from, part.count, step: step, into: values.pointer + part.lowerBound)
        }
      } else if let singles {
        let wire = UnsafeMutableBufferPointer(rebasing: singles.span[..<part.count])
        single.narrow(part.baseAddress!, part.count, into: wire.baseAddress!)
        try communicator.allreduce(wire)
        single.widen(wire.baseAddress!, part.count, into: part.baseAddress!)
      } else if let halves {
        try sum(part, as: UnsafeMutableBufferPointer(rebasing: halves.span[..<part.count]))
      } else {
        try communicator.allreduce(part, .sum)
      }
    }
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
  private func sum(_ part: UnsafeMutableBufferPointer<Double>, as wire: UnsafeMutableBufferPointer<Float16>) throws {
    let own = double.magnitudes(part.baseAddress!, part.count).largest
    var largest = [own.isFinite ? own : .infinity]
    try communicator.allreduce(&largest, .max)
    let bound = largest[0] * Double(communicator.size)
    let exponent = bound > 0 && bound.isFinite ? min(1020, 14 - bound.exponent) : 0
    let scale = Double(sign: .plus, exponent: exponent, significand: 1)
    half.narrow(part.baseAddress!, part.count, by: scale, into: wire.baseAddress!)
    try communicator.allreduce(wire)
    half.widen(wire.baseAddress!, part.count, by: 1 / scale, into: part.baseAddress!)
  }
}
