import Collectives
import Layers
import Tensors
import Testing
import Training

/// What the narrower wires leave of a sum.
@Suite struct WireTests {
  private static let count = 96, bucket = 32

  private static func sums(_ parts: [[Double]], _ wire: Wire) throws -> [[Double]] {
    try ThreadCommunicator.run(parts.count) { communicator in
      let gradients = ParameterGradients(count: count)
      let reducer = try #require(
        try GradientReducer(
          gradients, wire: wire,
          bucketBytes: bucket * wire.width, communicator, Timeline()))
      for (i, value) in parts[communicator.rank].enumerated() { gradients.values[i] = value }
      try reducer.begin()
      try reducer.finish()
      return gradients.values.array
    }
  }

  private static func parts(_ ranks: Int, magnitude: Double) -> [[Double]] {
    (0..<ranks).map { rank in
      var random = CounterRandom(seed: 9, position: rank, purpose: .probing)
      return (0..<count).map { magnitude * random.normal() * ($0 % 5 == 0 ? 1 : 0x1p-9) }
    }
  }

  /// Each share and each of the n − 1 sums is rounded once, to a unit of at most half the last place of Σ|x|; below the
  /// normal numbers of float16 to a fixed unit, which scaling puts 2³⁸ below the bound of the bucket.
  @Test(arguments: 2...4, [1, 0x1p-36, 1e-30, 1e30])
  func errorsAreThoseOfRounding(_ ranks: Int, _ magnitude: Double) throws {
    let parts = Self.parts(ranks, magnitude: magnitude)
    let n = Double(ranks)
    for (wire, unit) in [(Wire.float32, 0x1p-24), (.float16, 0x1p-11)] {
      let all = try Self.sums(parts, wire)
      #expect(all.allSatisfy { $0 == all[0] }, "the same bits on every rank")
      for i in 0..<Self.count {
        let start = i / Self.bucket * Self.bucket
        let largest =
          parts.joined().isEmpty
          ? 0 : parts.map { $0[start..<start + Self.bucket].map(abs).max()! }.max()!
        let sum = parts.reduce(0) { $0 + $1[i] }
        let total = parts.reduce(0) { $0 + abs($1[i]) }
        let fixed = wire == .float16 ? n * largest * 0x1p-38 : 0
        #expect(abs(all[0][i] - sum) <= n * unit * total * 1.01 + n * fixed, "\(wire) \(i)")
      }
      #expect(
        all[0] != parts.dropFirst().reduce(parts[0]) { zip($0, $1).map { $0 + $1 } },
        "it does round")
    }
  }

  /// All ranks hold the same number just below a power of two: their sum is the largest there can be.
  @Test(arguments: 2...4, [1e-303, 1e-300, 1e-20, 1, 60000, 1e20, 1e300])
  func float16NeitherOverflowsNorVanishes(_ ranks: Int, _ magnitude: Double) throws {
    for factor in [1, 1.34, 1.999] {
      let value = magnitude * factor
      let part = (0..<Self.count).map { i in [value, -value, value * 0x1p-12, 0][i % 4] }
      for sums in try Self.sums([[Double]](repeating: part, count: ranks), .float16) {
        for (sum, x) in zip(sums, part) {
          #expect(abs(sum - Double(ranks) * x) <= 0x1p-9 * abs(x) * Double(ranks))
        }
      }
    }
  }

  /// A scale is a bucket's own, and the same on all ranks though only one holds its largest number.
  @Test func float16ScalesEachBucketByTheLargestOfAllRanks() throws {
    let magnitudes = [1e-12, 1e12, 1]
    let parts = (0..<3).map { rank in
      (0..<Self.count).map { i in
        magnitudes[i / Self.bucket] * (rank == i / Self.bucket ? 1 : 0.001)
          * Double(1 + i % Self.bucket)
      }
    }
    let all = try Self.sums(parts, .float16)
    for i in 0..<Self.count {
      let sum = parts.reduce(0) { $0 + $1[i] }
      #expect(all.allSatisfy { abs($0[i] - sum) <= 0x1p-9 * sum })
    }
  }

  @Test(arguments: Wire.allCases) func zerosStayZero(_ wire: Wire) throws {
    let all = try Self.sums(
      [[Double]](repeating: [Double](repeating: 0, count: Self.count), count: 3), wire)
    #expect(all.allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  /// What is not finite on any rank is not finite on all, in its place, and the other buckets do not suffer.
  @Test(arguments: Wire.allCases, [Double.infinity, -.infinity, .nan])
  func whatIsNotFiniteArrives(_ wire: Wire, _ value: Double) throws {
    for place in [Self.bucket, Self.bucket + 5, 2 * Self.bucket - 1] {
      for rank in 0..<3 {
        var parts = Self.parts(3, magnitude: 1)
        let clean = try Self.sums(parts, wire)[0]
        parts[rank][place] = value
        for sums in try Self.sums(parts, wire) {
          #expect(!sums[place].isFinite)
          for i in 0..<Self.count where i / Self.bucket != 1 { #expect(sums[i] == clean[i]) }
        }
      }
    }
  }

  /// Infinities that would cancel, and numbers that only float64 can carry: not finite, not a wrong number.
  @Test func nothingWrongBecomesFinite() throws {
    var parts = Self.parts(2, magnitude: 1)
    (parts[0][7], parts[1][7]) = (.infinity, -.infinity)
    (parts[0][40], parts[1][40]) = (.nan, .infinity)
    for wire in Wire.allCases {
      for sums in try Self.sums(parts, wire) { #expect(!sums[7].isFinite && !sums[40].isFinite) }
    }
    parts = Self.parts(2, magnitude: 1)
    parts[1][70] = 1e300
    for sums in try Self.sums(parts, .float32) { #expect(!sums[70].isFinite) }
    for sums in try Self.sums(parts, .float16) { #expect(abs(sums[70] / 1e300 - 1) < 0x1p-11) }
  }
}
