import Testing

import Tensors

@Suite struct CounterRandomTests {
  /// The known answers of Random123's `kat_vectors` for philox4x32-10.
  @Test func philoxKnownAnswers() {
    let ones = UInt32.max
    let cases: [(counter: [UInt32], key: [UInt32], answer: [UInt32])] = [
      ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      ([ones, ones, ones, ones], [ones, ones], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    for (c, k, answer) in cases {
      let bits = CounterRandom.philox((c[0], c[1], c[2], c[3]), (k[0], k[1]))
      #expect([bits.0, bits.1, bits.2, bits.3] == answer)
    }
  }

  /// The counter is (epoch, position, purpose, block), the key the seed; a block is two numbers, low words first.
  @Test func theStreamIsPhiloxInCounterOrder() {
    var first = CounterRandom(seed: 0, purpose: .initialization)
    #expect(first.next() == 0xe169_c58d_6627_e8d5)
    #expect(first.next() == 0x9b00_dbd8_bc57_ac4c)

    var stream = CounterRandom(seed: 0x1122_3344_5566_7788, epoch: 5, position: 77, purpose: .augmentation)
    for block in 0..<3 as Range<UInt32> {
      let purpose = CounterRandom.Purpose.augmentation.rawValue
      let bits = CounterRandom.philox((5, 77, purpose, block), (0x5566_7788, 0x1122_3344))
      #expect(stream.next() == UInt64(bits.1) << 32 | UInt64(bits.0))
      #expect(stream.next() == UInt64(bits.3) << 32 | UInt64(bits.2))
    }
  }

  @Test(arguments: [0, 1, 2, 7]) func skippedDrawsAreLeftOut(_ count: Int) {
    var words = CounterRandom(seed: 1, purpose: .sampling), others = words
    words.skip(words: count)
    for _ in 0..<count { _ = others.next() }
    #expect((0..<4).map { _ in words.next() } == (0..<4).map { _ in others.next() })
    var normals = CounterRandom(seed: 1, purpose: .sampling), drawn = normals
    normals.skip(normals: count)
    for _ in 0..<count { _ = drawn.normal() }
    #expect(normals.normal() == drawn.normal() && normals.next() == drawn.next())
  }

  @Test func sameArgumentsSameBitsAndEveryArgumentMatters() {
    func draw(_ seed: UInt64 = 1, _ epoch: Int = 2, _ position: Int = 3, _ purpose: CounterRandom.Purpose = .sampling)
      -> [UInt64]
    {
      var random = CounterRandom(seed: seed, epoch: epoch, position: position, purpose: purpose)
      return (0..<5).map { _ in random.next() }
    }
    #expect(draw() == draw())
    let others = [
      draw(2), draw(1 + 1 << 32), draw(1, 3), draw(1, 2, 4), draw(1, 2, 3, .initialization),
      draw(1, 2, 3, .augmentation),
      draw(1, 2, 3, .synthesis), draw(1, 2, 3, .probing), draw(),
    ]
    #expect(Set(others).count == others.count)
  }

  /// Streams of two purposes, and of neighbouring positions, are uncorrelated: |r| of n uniform pairs has a deviation
  /// of 1/√n.
  @Test func purposesAndPositionsAreIndependent() {
    let n = 20_000
    func uniforms(_ position: Int, _ purpose: CounterRandom.Purpose) -> [Double] {
      var random = CounterRandom(seed: 9, position: position, purpose: purpose)
      return (0..<n).map { _ in random.uniform() - 0.5 }
    }
    let reference = uniforms(0, .sampling)
    for other in [uniforms(0, .augmentation), uniforms(1, .sampling), Array(uniforms(0, .sampling).dropFirst()) + [0]] {
      let correlation = zip(reference, other).reduce(0) { $0 + $1.0 * $1.1 } * 12 / Double(n)
      #expect(abs(correlation) < 4.5 / Double(n).squareRoot())
    }
  }

  @Test func uniformStatistics() {
    let n = 100_000
    let bins = 20
    var random = CounterRandom(seed: 3, purpose: .probing)
    var counts = [Int](repeating: 0, count: bins)
    var sum = 0.0
    for _ in 0..<n {
      let u = random.uniform()
      #expect(u >= 0 && u < 1)
      counts[Int(u * Double(bins))] += 1
      sum += u
    }
    #expect(abs(sum / Double(n) - 0.5) < 4.5 * (1.0 / 12 / Double(n)).squareRoot())
    let expected = Double(n) / Double(bins)
    let chiSquare = counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    #expect(chiSquare < 43.8)  // 99.9 % of chi-square with 19 degrees of freedom
    for _ in 0..<1000 {
      let u = random.uniform(-3, 5)
      #expect(u >= -3 && u < 5)
    }
  }

  @Test func normalStatisticsAndCountedDraws() {
    let n = 100_000
    var random = CounterRandom(seed: 4, purpose: .initialization)
    let values = (0..<n).map { _ in random.normal() }
    let moments = (1...4).map { power in
      values.reduce(0) { sum, x in sum + (0..<power).reduce(1) { product, _ in product * x } } / Double(n)
    }
    // The deviations of the mean of x, x², x³, x⁴ are √(1, 2, 15, 96)/√n.
    for (moment, (expected, variance)) in zip(moments, [(0.0, 1.0), (1, 2), (0, 15), (3, 96)]) {
      #expect(abs(moment - expected) < 4.5 * (variance / Double(n)).squareRoot())
    }
    var counted = CounterRandom(seed: 4, purpose: .initialization)
    for _ in 0..<2 * n { _ = counted.next() }
    #expect(counted.next() == random.next(), "a normal takes exactly two draws")
  }

  @Test func integersCoverTheirRangeEvenly() {
    var random = CounterRandom(seed: 5, purpose: .sampling)
    for bound in [1, 2, 7, 751] {
      let n = 200 * bound
      var counts = [Int](repeating: 0, count: bound)
      for _ in 0..<n { counts[random.integer(below: bound)] += 1 }
      #expect(counts.allSatisfy { abs(Double($0) - 200) < 5.5 * 200.0.squareRoot() })
    }
    #expect((0..<100).allSatisfy { _ in (0..<Int.max).contains(random.integer(below: .max)) })
  }

  @Test func shufflePermutesAndReachesEveryOrder() {
    var random = CounterRandom(seed: 6, purpose: .sampling)
    var orders: [[Int]: Int] = [:]
    for _ in 0..<2400 {
      var items = [0, 1, 2, 3]
      random.shuffle(&items)
      orders[items, default: 0] += 1
    }
    #expect(orders.count == 24)
    #expect(orders.values.allSatisfy { abs($0 - 100) < 50 })
    var none: [Int] = []
    var long = Array(0..<1000)
    random.shuffle(&none)
    random.shuffle(&long)
    #expect(none.isEmpty && long.sorted() == Array(0..<1000) && long != Array(0..<1000))
  }
}
