import Collectives
import Foundation
import Kernels
import Layers
import Tensors
import Testing

/// What forward passes compute, by their definitions, in float64: the generic checks would accept any map that is consistent
/// with its derivatives.
@Suite struct DefinitionTests {
  private let context = Context<Double>(
    workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
  private let shape = Shape(3, 5, 4, 6)

  private func normals(_ count: Int, seed: UInt64) -> [Double] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    return (0..<count).map { _ in random.normal() }
  }

  private func run(
    _ layout: ParameterLayout, _ statistics: ParameterLayout = ParameterLayout(), _ values: [Double] = [],
    _ mode: RunMode = .training(seed: 7, step: 2, firstRow: 10)
  ) -> Run<Double> {
    let parameters = Parameters<Double>(layout: layout, statistics: statistics)
    for (i, value) in values.enumerated() { parameters.values[i] = value }
    return Run(context, parameters, mode)
  }

  /// The values of an image's channel.
  private func channel(_ x: [Double], _ image: Int, _ channel: Int) -> [Double] {
    (0..<shape.area).map { x[(image * shape.area + $0) * shape.channels + channel] }
  }

  @Test func pools() throws {
    let x = normals(shape.count, seed: 1), area = Double(shape.area)
    func pooled(_ pool: any Pool<Double>, _ run: Run<Double>) throws -> [Double] {
      let y = context.tensor(Shape(shape.images, 1, 1, shape.channels))
      _ = try pool.forward(.plain(tensor(x, shape, context)), into: y, first: 0, run)
      return y.array
    }
    let channels = (0..<shape.images).flatMap { image in (0..<shape.channels).map { channel(x, image, $0) } }
    var layout = ParameterLayout()
    let generalized = GeneralizedMean<Double>(&layout, "pool")
    #expect(layout.slots.map(\.name) == ["pool.p"])
    let mean = try pooled(AveragePool(), run(layout))
    #expect(relativeError(mean, channels.map { $0.reduce(0, +) / area }) < 1e-14)
    #expect(try pooled(GlobalMax(), run(layout)) == channels.map { $0.max()! })
    for p in [1, 2.5, 3] {
      let expected = channels.map { pow($0.reduce(0) { $0 + pow(max($1, 1e-6), p) } / area, 1 / p) }
      #expect(relativeError(try pooled(generalized, run(layout, ParameterLayout(), [p])), expected) < 1e-13, "p = \(p)")
    }
  }

  /// Of equal values the first has the gradient, and a NaN shows.
  @Test func theMaximumHasOneWinner() throws {
    let run = run(ParameterLayout()), shape = Shape(1, 2, 2, 2)
    let x = tensor([1, 5, 3, .nan, 3, 7, 3, .nan], shape, context), y = context.tensor(Shape(1, 1, 1, 2))
    let passes = GlobalMax<Double>().forward(.plain(x), into: y, first: 0, run)
    #expect(y.array[0] == 3 && y.array[1].isNaN)
    let bar = tensor([2, 4], Shape(1, 1, 1, 2), context), gradients = ParameterGradients(count: 0)
    let xBar = try passes.backward(bar, adding: nil, target: .plain, .plain(gradients), run).tensor
    #expect(xBar.array == [0, 0, 2, 4, 0, 0, 0, 0])
  }

  /// A dense convolution whose other weights are 0.
  @Test(arguments: [1, 2]) func depthwise(stride: Int) {
    let channels = shape.channels, w = normals(9 * channels, seed: 2)
    var layout = ParameterLayout()
    var denseLayout = ParameterLayout()
    let depthwise = DepthwiseConvolution<Double>(&layout, "conv", channels: channels, stride: stride)
    #expect(layout.slots.map(\.name) == ["conv.weight"] && layout.slots[0].shape == [channels, 1, 3, 3])
    let dense = Convolution<Double>(
      &denseLayout, "conv", inputs: channels, outputs: channels, kernel: 3, stride: stride, padding: 1)
    var denseWeights = [Double](repeating: 0, count: denseLayout.count)
    for (i, weight) in w.enumerated() { denseWeights[i * channels + i % channels] = weight }
    func y(_ map: any LinearMap<Double>, _ run: Run<Double>) -> [Double] {
      map.pack(run.parameters.values, backward: true, context)
      return LinearPasses(map, .plain(tensor(normals(shape.count, seed: 3), shape, context)), run).y.value.tensor.array
    }
    let expected = y(dense, run(denseLayout, ParameterLayout(), denseWeights))
    #expect(relativeError(y(depthwise, run(layout, ParameterLayout(), w)), expected) < 1e-14)
  }

  private func sigmoid(_ a: Double) -> Double { 1 / (1 + exp(-a)) }

  @Test(arguments: [false, true]) func pixelGate(perChannel: Bool) throws {
    let channels = shape.channels, gates = perChannel ? channels : 1, x = normals(shape.count, seed: 4)
    var layout = ParameterLayout()
    let gate = PixelGate<Double>(&layout, "gate", channels: channels, perChannel: perChannel)
    #expect(layout.slots.map(\.name) == ["gate.conv.weight", "gate.conv.bias"])
    let run = run(layout, ParameterLayout(), normals(layout.count, seed: 5)), values = run.parameters.values
    for map in gate.maps { map.pack(values, backward: false, context) }
    let y = try gate.forward(.plain(tensor(x, shape, context)), run).y.value.tensor.array
    let (weight, bias) = (layout.slots[0].range.lowerBound, layout.slots[1].range.lowerBound)
    let expected = x.indices.map { i in
      let pixel = i / channels * channels, k = perChannel ? i % channels : 0
      let a = (0..<channels).reduce(values[bias + k]) { $0 + values[weight + $1 * gates + k] * x[pixel + $1] }
      return x[i] * sigmoid(a)
    }
    #expect(relativeError(y, expected) < 1e-13)
  }

  /// z = x + n(W_z·y) with y_p = 1/N Σ_q (θ_p·φ_q)·g_q, pixel by pixel.
  @Test func nonLocalBlock() throws {
    let channels = shape.channels, inner = 2, count = shape.count, area = shape.area, x = normals(count, seed: 9)
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let block = NonLocal<Double>(&layout, &statistics, "NL_2.0", channels: channels, inner: inner)
    #expect(
      layout.slots.map(\.name) == [
        "NL_2.0.g.weight", "NL_2.0.g.bias", "NL_2.0.theta.weight", "NL_2.0.theta.bias", "NL_2.0.phi.weight",
        "NL_2.0.phi.bias", "NL_2.0.W.0.weight", "NL_2.0.W.1.weight", "NL_2.0.W.1.bias",
      ])
    #expect(layout["NL_2.0.W.1.weight"]?.start == .constant(0))
    let run = run(layout, statistics, normals(layout.count, seed: 10)), values = run.parameters.values
    for map in block.maps { map.pack(values, backward: false, context) }
    let z = try block.forward(.plain(tensor(x, shape, context)), run).y.value.tensor.array
    func first(_ name: String) -> Int { layout["NL_2.0." + name]!.range.lowerBound }
    func map(_ name: String, _ pixel: Int, _ k: Int) -> Double {
      (0..<channels).reduce(values[first(name + ".bias") + k]) {
        $0 + values[first(name + ".weight") + $1 * inner + k] * x[pixel * channels + $1]
      }
    }
    let pixels = (0..<count / channels).map { pixel in
      ["theta", "phi", "g"].map { name in (0..<inner).map { map(name, pixel, $0) } }
    }
    let branch = pixels.indices.flatMap { p in
      let others = pixels[p / area * area..<(p / area + 1) * area]
      let y = (0..<inner).map { k in
        others.reduce(0) { $0 + dot(pixels[p][0], $1[1]) * $1[2][k] } / Double(area)
      }
      return (0..<channels).map { c in
        (0..<inner).reduce(0) { $0 + values[first("W.0.weight") + $1 * channels + c] * y[$1] }
      }
    }
    let expected = x.indices.map { i in
      let own = stride(from: i % channels, to: count, by: channels).map { branch[$0] }, n = Double(own.count)
      let mean = own.reduce(0, +) / n, variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
      let scale = values[first("W.1.weight") + i % channels], shift = values[first("W.1.bias") + i % channels]
      return x[i] + scale * (branch[i] - mean) / (variance + 1e-5).squareRoot() + shift
    }
    #expect(relativeError(z, expected) < 1e-12)
  }

  /// The same unit without gates, times gates from its means: `gates`(means of an image, values of the gate's parameters).
  private func checkGate(
    _ make: (inout ParameterLayout) -> any ChannelGate<Double>, tensors: [String],
    _ gates: (_ means: [Double], _ parameters: [[Double]]) -> [Double]
  ) throws {
    let channels = shape.channels
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let map = Convolution<Double>(&layout, "conv", inputs: channels, outputs: channels)
    let norm = Norm<Double>(&layout, &statistics, "bn", channels: channels)
    let gate = make(&layout), slots = layout.slots.suffix(tensors.count)
    #expect(slots.map(\.name) == tensors)
    let run = run(layout, statistics, normals(layout.count, seed: 6)), values = run.parameters.values
    for map in [map] + gate.maps { map.pack(values, backward: false, context) }
    func y(_ gate: (any ChannelGate<Double>)?) throws -> [Double] {
      let unit = NormalizedConvolution(map, norm, isActivated: false, gate: gate)
      let x = tensor(normals(shape.count, seed: 7), shape, context)
      return try unit.forward(.plain(x), run).y.value.materialized(context).array
    }
    let z = try y(nil)
    var expected = z
    for image in 0..<shape.images {
      let means = (0..<channels).map { channel(z, image, $0).reduce(0, +) / Double(shape.area) }
      let g = gates(means, slots.map { $0.range.map { values[$0] } })
      for i in image * shape.area * channels..<(image + 1) * shape.area * channels { expected[i] *= g[i % channels] }
    }
    #expect(relativeError(try y(gate), expected) < 1e-12)
  }

  @Test func squeezeAndExcitation() throws {
    let channels = shape.channels, hidden = 4
    func linear(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> [Double] {
      bias.indices.map { k in x.indices.reduce(bias[k]) { $0 + weight[$1 * bias.count + k] * x[$1] } }
    }
    try checkGate(
      { SqueezeExcitation(&$0, "se", channels: channels, hidden: hidden) },
      tensors: ["se.fc.0.weight", "se.fc.0.bias", "se.fc.2.weight", "se.fc.2.bias"]
    ) { means, p in linear(linear(means, p[0], p[1]).map { max(0, $0) }, p[2], p[3]).map(sigmoid) }
  }

  /// y = Σ_t σ(W₂·max(0, W₁·m(x_t) + b₁) + b₂)∘x_t, one gate for all streams.
  @Test func unifiedGate() {
    let channels = shape.channels, hidden = 3, count = shape.area * channels
    var layout = ParameterLayout()
    let gate = SqueezeExcitation<Double>(&layout, reduce: "fc1", expand: "fc2", channels: channels, hidden: hidden)
    #expect(layout.slots.map(\.name) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
    #expect(layout["fc1.weight"]?.shape == [hidden, channels, 1, 1])
    let run = run(layout, ParameterLayout(), normals(layout.count, seed: 8)), values = run.parameters.values
    for map in gate.maps { map.pack(values, backward: false, context) }
    let streams = (0..<3).map { normals(shape.count, seed: 10 + UInt64($0)) }
    let y = UnifiedGate<Double>(gate).forward(streams.map { .plain(tensor($0, shape, context)) }, run).y
    let p = layout.slots.map { $0.range.map { values[$0] } }
    var expected = [Double](repeating: 0, count: shape.count)
    for x in streams {
      for image in 0..<shape.images {
        let means = (0..<channels).map { channel(x, image, $0).reduce(0, +) / Double(shape.area) }
        let inner = (0..<hidden).map { k in
          max(0, means.indices.reduce(p[1][k]) { $0 + p[0][$1 * hidden + k] * means[$1] })
        }
        let g = (0..<channels).map { c in
          sigmoid(inner.indices.reduce(p[3][c]) { $0 + p[2][$1 * channels + c] * inner[$1] })
        }
        for i in image * count..<(image + 1) * count { expected[i] += g[i % channels] * x[i] }
      }
    }
    #expect(relativeError(y.value.tensor.array, expected) < 1e-13)
  }

  /// A last odd row and column are left out, and their gradient is 0.
  @Test func windowAverage() {
    let odd = Shape(2, 5, 3, 2), x = normals(odd.count, seed: 9)
    let y = WindowAverage.forward(.plain(tensor(x, odd, context)), context)
    var expected: [Double] = []
    for (image, row, c) in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)] {
      func at(_ i: Int, _ j: Int) -> Double { x[((image * 5 + 2 * row + i) * 3 + j) * 2 + c] }
      expected.append((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4)
    }
    #expect(y.shape == Shape(2, 2, 1, 2) && relativeError(y.array, expected) < 1e-15)
    let ones = tensor([Double](repeating: 4, count: y.shape.count), y.shape, context)
    let bar = WindowAverage.backward(ones, odd, .plain, context).tensor.array
    #expect(bar == (0..<odd.count).map { $0 / 6 % 5 < 4 && $0 / 2 % 3 < 2 ? 1 : 0 })
  }

  @Test(arguments: [0, 1, 5]) func efficientChannelAttention(_ kernel: Int) throws {
    let channels = shape.channels
    var options = ChannelConvolutionOptions()
    options.kernel = kernel
    try checkGate(
      { ChannelConvolution(&$0, "eca", channels: channels, options) }, tensors: ["eca.conv.weight"]
    ) { means, p in
      // The authors' size for a few channels is 1 or 3.
      #expect(p[0].count == (kernel > 0 ? kernel : channels < 8 ? 1 : 3))
      return means.indices.map { c in
        sigmoid(
          p[0].indices.reduce(0) { sum, tap in
            let other = c + tap - p[0].count / 2
            return means.indices.contains(other) ? sum + p[0][tap] * means[other] : sum
          })
      }
    }
  }

  private func masked(_ kind: MaskKind, stream: Int = 0, _ mode: RunMode) throws -> [Double] {
    let ones = tensor([Double](repeating: 1, count: shape.count), shape, context)
    let run = run(ParameterLayout(), ParameterLayout(), [], mode)
    return try RandomMask<Double>(kind, stream: stream).forward(.plain(ones), run).y.value.tensor.array
  }

  @Test func stripesAreOfTheBatch() throws {
    var firsts: Set<Int> = []
    for step in 0..<40 {
      let y = try masked(.stripe(height: 0.4), .training(seed: 7, step: step, firstRow: 10))
      let rows = (0..<shape.images * shape.height).map { row in
        Set(y[row * shape.width * shape.channels..<(row + 1) * shape.width * shape.channels])
      }
      let erased = rows.indices.filter { rows[$0] == [0] }
      let first = erased[0], height = shape.height
      let expected: [Int] = (0..<shape.images).flatMap { image in
        [image * height + first, image * height + first + 1]
      }
      #expect(erased == expected)
      #expect(rows.indices.allSatisfy { erased.contains($0) || rows[$0] == [1] })
      #expect(try y == masked(.stripe(height: 0.4), .training(seed: 7, step: step, firstRow: 0)))
      firsts.insert(first)
    }
    #expect(firsts == [0, 1, 2, 3])
  }

  @Test func channelsAreOfAnImage() throws {
    let kind = MaskKind.channels(rate: 0.25), mode = RunMode.training(seed: 7, step: 0, firstRow: 10)
    var dropped = 0, images = 0
    for step in 0..<200 {
      let y = try masked(kind, .training(seed: 7, step: step, firstRow: 10))
      for image in 0..<shape.images {
        images += 1
        for c in 0..<shape.channels {
          let values = Set(channel(y, image, c))
          #expect(values == [0] || values == [4.0 / 3])
          if values == [0] { dropped += 1 }
        }
      }
    }
    #expect(abs(Double(dropped) / Double(images * shape.channels) - 0.25) < 0.03)
    // The second image of one rank is the first of another that begins with it.
    let perImage = shape.area * shape.channels, y = try masked(kind, mode)
    let later = try masked(kind, .training(seed: 7, step: 0, firstRow: 11))
    #expect(y[perImage..<2 * perImage] == later[..<perImage])
    #expect(try y != masked(kind, stream: 1, mode))
    #expect(try masked(kind, .evaluation) == [Double](repeating: 1, count: shape.count))
  }
}
