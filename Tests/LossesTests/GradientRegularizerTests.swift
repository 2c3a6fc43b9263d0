import Collectives
import Kernels
import Layers
import Losses
import Tensors
import Testing

@Suite struct GradientRegularizerTests {
  private static let norms: [GradientRegularizer.Norm] = [.one, .two, .infinity]
  /// One image's gradient at each place; that of place 2 is longer than the kernels' blocks.
  private static let shapes = [0: Shape(1, 6, 4, 3), 1: Shape(1, 3, 5, 7), 2: Shape(1, 13, 25, 17)]

  private struct Result: Sendable {
    let value: Double
    let directions: [Int: [Double]]
  }

  /// Gradients by place, all of them float16 numbers.
  private func gradients(_ places: [Int] = [0, 1, 2], images: Int = 5, seed: UInt64 = 1) -> [Int: [Double]] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    var gradients: [Int: [Double]] = [:]
    for place in places {
      gradients[place] = (0..<images * Self.shapes[place]!.count).map { _ in Double(Float16(random.normal())) }
    }
    return gradients
  }

  /// R and τ·v, rank by rank, from gradients of `scale`·L.
  private func measure<E: Element>(
    _: E.Type, _ norm: GradientRegularizer.Norm, _ gradients: [Int: [Double]], _ counts: [Int] = [5],
    scale: Double = 1, tangentScale: Double = 1
  ) throws -> [Result] {
    let regularizer = GradientRegularizer(norm: norm, places: Array(gradients.keys))
    return try ThreadCommunicator.run(counts.count) { communicator in
      let context = Context<E>(
        workers: Workers(count: 1 + communicator.rank), communicator: communicator, arena: Arena(),
        kernels: Kernels(path: KernelPath.available[0]))
      let first = counts[..<communicator.rank].reduce(0, +), images = counts[communicator.rank]
      var own: [Int: Tensor<E>] = [:]
      for (place, list) in gradients {
        let shape = Self.shapes[place]!
        let tensor = context.tensor(Shape(images, shape.height, shape.width, shape.channels))
        tensor.fill(list[first * shape.count..<(first + images) * shape.count].map { E(scale * $0) })
        own[place] = tensor
      }
      let measured = try regularizer.measure(own, scale: scale, context)
      let directions = regularizer.directions(measured, tangentScale: tangentScale, context)
      return Result(value: measured.value, directions: directions.mapValues { $0.array.map { Double($0) } })
    }
  }

  private func norm(_ x: ArraySlice<Double>, _ norm: GradientRegularizer.Norm) -> Double {
    switch norm {
    case .one: x.reduce(0) { $0 + abs($1) }
    case .two: x.reduce(0) { $0 + $1 * $1 }.squareRoot()
    case .infinity: x.reduce(0) { max($0, abs($1)) }
    }
  }

  /// Σ over places and images.
  private func total(_ gradients: [Int: [Double]], _ norm: GradientRegularizer.Norm) -> Double {
    gradients.reduce(0) { total, next in
      let size = Self.shapes[next.key]!.count
      return stride(from: 0, to: next.value.count, by: size).reduce(total) { sum, first in
        sum + self.norm(next.value[first..<first + size], norm)
      }
    }
  }

  /// Norms of float16 numbers are measured in float64, whatever the storage.
  @Test(arguments: norms) func theValueIsTheSumOfTheNorms(_ norm: GradientRegularizer.Norm) throws {
    for places in [[1], [2], [0, 1, 2]] {
      let gradients = gradients(places)
      let expected = total(gradients, norm)
      let values = [
        try measure(Double.self, norm, gradients), try measure(Float.self, norm, gradients),
        try measure(Float16.self, norm, gradients),
      ].map { $0[0].value }
      #expect(values.allSatisfy { abs($0 - expected) <= 1e-13 * expected }, "\(norm) at \(places)")
    }
  }

  /// v is ∂R/∂g, element by element.
  @Test(arguments: norms) func theDirectionIsTheDerivativeOfTheNorm(_ norm: GradientRegularizer.Norm) throws {
    var random = CounterRandom(seed: 3, purpose: .probing)
    for place in [0, 1] {
      let g = (0..<3 * Self.shapes[place]!.count).map { _ in random.normal() }
      let v = try measure(Double.self, norm, [place: g], [3])[0].directions[place]!
      for i in g.indices {
        var (up, down) = (g, g)
        up[i] += 1e-6
        down[i] -= 1e-6
        let slope = (total([place: up], norm) - total([place: down], norm)) / 2e-6
        #expect(abs(v[i] - slope) < 1e-7, "\(norm), element \(i)")
      }
    }
  }

  /// τ multiplies the directions, the scale of the loss neither these nor the value; all in every precision.
  @Test(arguments: norms) func scales(_ norm: GradientRegularizer.Norm) throws {
    let gradients = gradients()
    let one = try measure(Double.self, norm, gradients)[0]
    func check<E: Element>(_: E.Type, _ tolerance: Double) throws {
      for (scale, tangentScale) in [(1, 1), (64, 1), (1, 1024), (1024, 0x1p-3)] as [(Double, Double)] {
        let result = try measure(E.self, norm, gradients, scale: scale, tangentScale: tangentScale)[0]
        #expect(abs(result.value - one.value) <= 1e-13 * one.value, "\(norm), \(E.self), scale \(scale)")
        #expect(result.directions.keys == one.directions.keys)
        for (place, v) in one.directions {
          let expected = v.map { tangentScale * $0 }, actual = result.directions[place]!
          let error = zip(actual, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
          #expect(error <= tolerance * tangentScale, "\(norm), \(E.self), scale \(scale), tangents × \(tangentScale)")
        }
      }
    }
    try check(Double.self, 1e-15)
    try check(Float.self, 1e-7)
    try check(Float16.self, 3e-4)
  }

  /// An image without gradient has no direction, and not NaN.
  @Test(arguments: norms) func aZeroGradientHasNoDirection(_ norm: GradientRegularizer.Norm) throws {
    var gradients = gradients([1], images: 3)
    let size = Self.shapes[1]!.count
    for i in size..<2 * size { gradients[1]![i] = i % 2 == 0 ? 0 : -0.0 }
    let expected = total(gradients, norm)
    func check<E: Element>(_: E.Type) throws {
      let result = try measure(E.self, norm, gradients, [3], tangentScale: 1024)[0]
      #expect(abs(result.value - expected) <= 1e-13 * expected)
      let v = result.directions[1]!
      #expect(v[size..<2 * size].allSatisfy { $0 == 0 }, "\(norm), \(E.self)")
      #expect(v[..<size].contains { $0 != 0 } && v[(2 * size)...].contains { $0 != 0 })
    }
    try check(Double.self)
    try check(Float.self)
    try check(Float16.self)
    let all = try measure(Float16.self, norm, [1: [Double](repeating: 0, count: 2 * size)], [2])[0]
    #expect(all.value == 0 && all.directions[1]!.allSatisfy { $0 == 0 })
  }

  /// Of several largest elements the first alone has a direction, with its sign.
  @Test func infinityTakesTheFirstOfTheLargest() throws {
    let size = Self.shapes[2]!.count
    for (first, others) in [(0, [1, 9]), (4095, [4096, 5000]), (4096, [4097, size - 1]), (size - 1, [])] {
      for sign in [1.0, -1] {
        var g = (0..<size).map { Double(Float16(scattered($0))) }
        g[first] = 3 * sign
        for other in others { g[other] = other % 2 == 0 ? 3 : -3 }
        for v in [
          try measure(Double.self, .infinity, [2: g], [1], tangentScale: 8)[0].directions[2]!,
          try measure(Float16.self, .infinity, [2: g], [1], tangentScale: 8)[0].directions[2]!,
        ] {
          #expect(v.indices.filter { v[$0] != 0 } == [first] && v[first] == 8 * sign)
        }
      }
    }
  }

  /// Numbers of either sign, below 1.
  private func scattered(_ index: Int) -> Double { Double((index * 7919) % 101) / 51 - 0.99 }

  /// The norms of all ranks' images are in R, to the same bits on any number of ranks.
  @Test(arguments: norms) func ranksEqualOne(_ norm: GradientRegularizer.Norm) throws {
    let gradients = gradients()
    func check<E: Element>(_: E.Type) throws {
      let one = try measure(E.self, norm, gradients, scale: 8, tangentScale: 2)[0]
      for counts in [[2, 3], [4, 0, 1], [1, 1, 0, 3]] {
        let many = try measure(E.self, norm, gradients, counts, scale: 8, tangentScale: 2)
        #expect(many.allSatisfy { $0.value == one.value }, "\(norm), \(E.self) over \(counts)")
        for place in gradients.keys {
          #expect(many.flatMap { $0.directions[place]! } == one.directions[place]!, "\(norm), \(E.self) over \(counts)")
        }
      }
    }
    try check(Double.self)
    try check(Float16.self)
  }

  /// A gradient that is not finite, on any rank, makes R so on all: the step has to be skipped.
  @Test(arguments: norms) func nonfiniteGradientsMakeTheValueNonfinite(_ norm: GradientRegularizer.Norm) throws {
    for bad in [Double.nan, .infinity, -.infinity] {
      for index in [0, 60, 104] {
        var gradients = gradients([0, 1], images: 3)
        gradients[1]![2 * Self.shapes[1]!.count + index] = bad
        for results in [
          try measure(Double.self, norm, gradients, [2, 1]), try measure(Float.self, norm, gradients, [1, 2]),
          try measure(Float16.self, norm, gradients, [3]),
        ] {
          #expect(results.allSatisfy { !$0.value.isFinite }, "\(norm): \(bad) at \(index)")
        }
      }
    }
  }

  @Test func placesAscend() {
    #expect(GradientRegularizer(norm: .two, places: [2, 0, 1]).places == [0, 1, 2])
  }

  /// Powers of two, so that they change no digit.
  @Test(arguments: norms) func tangentsStartWithAPowerOfTwo(_ norm: GradientRegularizer.Norm) {
    let scale = GradientRegularizer(norm: norm, places: [1]).initialTangentScale
    #expect(scale >= 1 && scale.significand == 1)
    #expect(norm != .one || scale == 1, "sign(g) is 1 as it is")
  }
}
