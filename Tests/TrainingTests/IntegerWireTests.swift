import Collectives
import Foundation
import Layers
import Tensors
import Testing
import Training

/// `communication.wire: int32`: sums in four bytes that are exact.
@Suite struct IntegerWireTests {
  /// Tensors of 5, 40 and 16 scalars, as a layout has them.
  private static let tensors = [0..<5, 16..<56, 64..<80], count = 80

  /// What every rank holds after one round, and how many buckets of how many went as integers. `parts` are rounded to `steps` as
  /// they are added.
  private static func sums(_ parts: [[Double]], _ steps: [Double]?, bucket: Int) throws
    -> [(values: [Double], integers: Int)]
  {
    try ThreadCommunicator.run(parts.count) { communicator in
      let spy = SpyCommunicator(communicator), gradients = ParameterGradients(count: count)
      let reducer = try #require(
        try GradientReducer(gradients, wire: .int32, bucketBytes: 4 * bucket, spy, Timeline()))
      gradients.reset(scale: 1, Float.self, steps: steps.map { Array(zip(tensors, $0)) })
      try reducer.begin()
      for range in tensors { for i in range { gradients.add(parts[communicator.rank][i], at: i) } }
      try reducer.finish()
      return (gradients.values.array, spy.calls.integers)
    }
  }

  private static func parts(_ ranks: Int, _ magnitudes: [Double]) -> [[Double]] {
    (0..<ranks).map { rank in
      var random = CounterRandom(seed: 4, position: rank, purpose: .probing)
      var part = [Double](repeating: 0, count: count)
      for (range, magnitude) in zip(tensors, magnitudes) { for i in range { part[i] = magnitude * random.normal() } }
      return part
    }
  }

  /// Whole numbers of steps, so that any order gives this sum.
  private static func expected(_ parts: [[Double]], _ steps: [Double]) -> [Double] {
    var sum = [Double](repeating: 0, count: count)
    for part in parts {
      for (range, step) in zip(tensors, steps) {
        for i in range { sum[i] += (part[i] / step).rounded(.toNearestOrEven) * step }
      }
    }
    return sum
  }

  /// Buckets that end within tensors and within blocks, of steps far apart.
  @Test(arguments: 2...4, [1, 7, 16, 33, 80, 500]) func sumsAreExactInFourBytes(_ ranks: Int, _ bucket: Int) throws {
    let steps = [0x1p-20, 0x1p-3, 0x1p-36], parts = Self.parts(ranks, [30, 1e6, 1e-3])
    for result in try Self.sums(parts, steps, bucket: bucket) {
      #expect(result.values == Self.expected(parts, steps))
      #expect(result.integers == (Self.count + bucket - 1) / bucket)
    }
  }

  /// A bucket that might not fit goes as it is, and loses as little: also where the sum itself would fit, and one rank alone is
  /// large.
  @Test func whatDoesNotFitIsAsExact() throws {
    let steps = [0x1p-20, 0x1p-3, 0x1p-36]
    var parts = Self.parts(3, [30, 1e6, 1e-3])
    (parts[0][20], parts[1][20], parts[2][20]) = (2e8, -2e8, 5)
    for result in try Self.sums(parts, steps, bucket: 16) {
      #expect(result.values == Self.expected(parts, steps))
      #expect(result.integers == 4)
    }
    // Exactly the largest sum that fits, and one more.
    for (more, integers) in [(0.0, 5), (1, 4)] {
      var parts = [[Double]](repeating: [Double](repeating: 0, count: Self.count), count: 2)
      (parts[0][3], parts[1][3]) = (0x1p-20 * (0x1p30 + more), 0x1p-20 * (0x1p30 - 1))
      for result in try Self.sums(parts, steps, bucket: 16) {
        #expect(result.values[3] == 0x1p-20 * (0x1p31 - 1 + more) && result.integers == integers)
      }
    }
  }

  /// Inf and NaN arrive, and without a grid nothing is rounded.
  @Test func whatIsNoIntegerGoesAsItIs() throws {
    let steps = [0x1p-20, 0x1p-3, 0x1p-36]
    for value in [Double.infinity, -.infinity, .nan] {
      var parts = Self.parts(2, [30, 1e6, 1e-3])
      parts[1][33] = value
      for result in try Self.sums(parts, steps, bucket: 16) {
        #expect(!result.values[33].isFinite && result.integers == 4)
        let expected = Self.expected(parts, steps)
        for i in 0..<Self.count where i != 33 { #expect(result.values[i] == expected[i]) }
      }
    }
  }

  /// The step is 2⁻²³ to 2⁻²⁴ of the largest magnitude, never below the quantum, and times the scale of the loss.
  @Test func stepsFollowTheLastGradient() {
    var layout = ParameterLayout()
    for (index, count) in [5, 40, 16, 3].enumerated() { _ = layout.add("t\(index)", .convolution, shape: [count, 1]) }
    var magnitudes = GradientMagnitudes(tensors: 4)
    #expect(magnitudes.steps(layout, scale: 8).map(\.step) == [Double](repeating: 0x1p-33, count: 4))
    #expect(magnitudes.steps(layout, scale: 8).map(\.range) == layout.slots.map(\.range))
    let gradients = ParameterGradients(count: layout.count), workers = Workers(count: 2)
    func set(_ slot: Int, _ value: Double) { gradients.values[layout.slots[slot].range.upperBound - 1] = value }
    set(0, -1.5 * 64)
    set(1, 0x1p-20 * 64)
    set(3, 4 * 64)
    magnitudes.observe(GradientMagnitudes.largest(gradients, layout, [0..<layout.count], scale: 64, workers))
    #expect(magnitudes.exponents == [0, -20, nil, 2])
    #expect(magnitudes.steps(layout, scale: 2).map(\.step) == [0x1p-22, 0x1p-35, 0x1p-35, 0x1p-20])
    set(0, .nan)
    set(1, .infinity)
    set(3, 0)
    magnitudes.observe(GradientMagnitudes.largest(gradients, layout, [0..<layout.count], scale: 64, workers))
    #expect(magnitudes.exponents == [0, -20, nil, nil])
  }

  /// Whole steps: the same course on any number of ranks, another than with float64 and near it.
  @Test(arguments: ["msgr.lambda=0", "msgr.lambda=0.02", "adaptiveL2.enabled=true"])
  func anyNumberOfRanksTakesTheSameCourse(_ setting: String) throws {
    let one = DigestTests.Case("int32", [setting, "communication.wire=int32"])
    let alone = try DigestTests.digest(Float16.self, one, .blas, [12])[0]
    for counts in [[8, 4], [4, 4, 4]] {
      let found = try DigestTests.digest(Float16.self, one, .blas, counts)
      #expect(found.allSatisfy { $0 == alone }, "\(counts)")
    }
    let wide = try DigestTests.digest(Float16.self, DigestTests.Case("float64", [setting]), .blas, [12])[0]
    #expect(wide != alone)
  }
}
