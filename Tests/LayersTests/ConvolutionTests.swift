import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// The passes of a convolution against loops that follow the definition, in every precision and on every path.
@Suite struct ConvolutionTests {
  /// y[n, i, j, o] = b[o] + Σ x[n, i·s + r − p, j·s + c − p, k] · w[r, c, k, o] by loops,
  /// and with a cotangent what the same loops give for x̄, W̄ and b̄.
  private struct Direct {
    let layer: ConvolutionCase, images: Int
    var y: [Double], xBar: [Double], wBar: [Double], bBar: [Double]

    init(_ layer: ConvolutionCase, images: Int, x: [Double], w: [Double], b: [Double]?, cotangent: (Int) -> [Double]) {
      (self.layer, self.images) = (layer, images)
      let height = (layer.height + 2 * layer.padding - layer.kernel) / layer.stride + 1
      let width = (layer.width + 2 * layer.padding - layer.kernel) / layer.stride + 1
      let outputs = layer.outputChannels
      let inputs = layer.inputChannels
      y = [Double](repeating: 0, count: images * height * width * outputs)
      let yBar = cotangent(y.count)
      xBar = [Double](repeating: 0, count: x.count)
      wBar = [Double](repeating: 0, count: w.count)
      bBar = [Double](repeating: 0, count: outputs)
      for pixel in 0..<images * height * width {
        let n = pixel / (height * width)
        let i = pixel / width % height
        let j = pixel % width
        for o in 0..<outputs {
          let at = pixel * outputs + o
          y[at] += b?[o] ?? 0
          bBar[o] += yBar[at]
          for tap in 0..<layer.kernel * layer.kernel {
            let row = i * layer.stride + tap / layer.kernel - layer.padding
            let column = j * layer.stride + tap % layer.kernel - layer.padding
            guard row >= 0, row < layer.height, column >= 0, column < layer.width else { continue }
            let first = ((n * layer.height + row) * layer.width + column) * inputs
            for k in 0..<inputs {
              let weight = (tap * inputs + k) * outputs + o
              y[at] += x[first + k] * w[weight]
              xBar[first + k] += yBar[at] * w[weight]
              wBar[weight] += yBar[at] * x[first + k]
            }
          }
        }
      }
    }
  }

  /// What the loops give for either half of the passes, their operands changed by `rounded` first:
  /// ẏ = W∗ẋ, without the bias; x̄ + κx̄˙ = Wᵀ∗h, W̄ + κW̄˙ = x⊗h + ẋ⊗κȳ, b̄ + κb̄˙ = Σ h.
  private func expected(
    _ layer: ConvolutionCase, _ values: Values, _ passes: Course, rounded: ([Double]) -> [Double] = { $0 }
  ) -> Outcome {
    func direct(_ x: [Double], _ b: [Double]?, _ yBar: (Int) -> [Double]) -> Direct {
      Direct(
        layer, images: values.images, x: rounded(x), w: rounded(values.parameters[0]), b: b,
        cotangent: { rounded(yBar($0)) })
    }
    let bias = layer.bias ? values.parameters[1] : nil
    let isTangent = if case .tangent = passes { true } else { false }
    let main = direct(values.inputs[0], bias, isTangent ? values.regularizedCotangent : values.cotangent)
    var result = Outcome(y: main.y, inputs: [main.xBar], parameters: [main.wBar] + (layer.bias ? [main.bBar] : []))
    if isTangent {
      let tangent = direct(values.tangents[0], nil) { values.cotangent($0).map { Values.tangentWeight * $0 } }
      result.y = tangent.y
      result.parameters[0] = zip(main.wBar, tangent.wBar).map { $0 + $1 }
    }
    return result
  }

  private func check<E: Element>(_ layer: ConvolutionCase, _: E.Type, _ path: KernelPath, _ tolerance: Double) throws {
    let values = Values(layer, images: 3, seed: 5)
    for passes in Course.halves {
      let expected = expected(layer, values, passes)
      let result = try outcome(layer, E.self, values, passes, path: path, threads: 2)
      let what = "\(layer.name), \(E.self), \(passes), on \(path)"
      #expect(relativeError(result.y, expected.y) < tolerance, "\(what): output")
      #expect(relativeError(result.inputs[0], expected.inputs[0]) < tolerance, "\(what): backwardData")
      // accumulators, whatever the storage; the split operands of `amx` leave out lo·lo
      let splits = path == .amx && E.precision == .float16
      let gradientTolerance = E.precision == .float64 ? tolerance : splits ? 1e-5 : 2e-6
      for (gradient, reference) in zip(result.parameters, expected.parameters) {
        #expect(relativeError(gradient, reference) < gradientTolerance, "\(what): backwardWeights")
      }
      #expect(result.parameters.count == expected.parameters.count)
    }
  }

  @Test(arguments: LayerCases.convolutions) func followsTheDefinition(_ layer: ConvolutionCase) throws {
    try check(layer, Double.self, .blas, 1e-13)
    for path in KernelPath.available {
      try check(layer, Float.self, path, 1e-6)
      try check(layer, Float16.self, path, 5e-4)
    }
  }

  /// Exact products, one rounding: a float16 output is the float64 one rounded, but for ties of the last float32 bits.
  /// What the split operands of `amx` leave out, lo·lo, decides some more.
  @Test(arguments: KernelPath.available) func float16IsRoundedOnce(_ path: KernelPath) throws {
    let layer = LayerCases.convolutions[3]
    let values = Values(layer, images: 3, seed: 6)
    let exact = try outcome(layer, Double.self, values)
    let half = try outcome(layer, Float16.self, values, path: path)
    let differing = zip(half.y, exact.y).filter { $0 != Double(Float16($1)) }.count
    #expect(Double(differing) < (path == .amx ? 0.04 : 0.01) * Double(exact.y.count))
  }

  /// `precision.multiply: bfloat16` rounds both operands to 8 bits, in all passes.
  @Test(arguments: KernelPath.available, Course.halves) func bfloat16RoundsTheOperands(
    _ path: KernelPath, _ passes: Course
  ) throws {
    func rounded(_ values: [Double]) -> [Double] {
      values.map { x in
        guard x != 0 else { return 0 }
        let unit = Double(sign: .plus, exponent: x.exponent - 7, significand: 1)
        return (x / unit).rounded(.toNearestOrEven) * unit
      }
    }
    let layer = LayerCases.convolutions[3]
    let values = Values(layer, images: 2, seed: 7)
    let result = try outcome(layer, Float.self, values, passes, path: path, multiplication: .bfloat16)
    let expected = expected(layer, values, passes, rounded: rounded)
    #expect(relativeError(result.y, expected.y) < 1e-6)
    #expect(relativeError(result.inputs[0], expected.inputs[0]) < 1e-6)
    #expect(relativeError(result.parameters[0], expected.parameters[0]) < 1e-6)
    #expect(
      relativeError(result.y, try outcome(layer, Double.self, values, passes).y) > 1e-4, "rounding to 8 bits shows")
  }

  /// Gradients are added to what is there, and touch no other slot.
  @Test func weightGradientsAccumulate() throws {
    let layer = LayerCases.convolutions[9]
    let values = Values(layer, images: 2)
    let built = layer.build(Double.self)
    let context = Context<Double>(
      workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
    let parameters = Parameters<Double>(layout: built.layout, statistics: built.statistics)
    built.pack(parameters, context)
    let x = tensor(values.inputs[0], Shape(2, layer.height, layer.width, layer.inputChannels), context)
    let run = Run(context, parameters, .training(seed: 0, step: 0, firstRow: 0))
    let pass = try built.run([x], run)
    let once = ParameterGradients(count: built.layout.count)
    let twice = ParameterGradients(count: built.layout.count)
    _ = try pass.backward(values.cotangent(pass.y.count), .plain(once))
    for _ in 0..<2 { _ = try pass.backward(values.cotangent(pass.y.count), .plain(twice)) }
    #expect(relativeError(twice.values.array, once.values.array.map { 2 * $0 }) < 1e-14)
    let inside = Set(built.layout.slots.flatMap { Array($0.range) })
    for i in 0..<built.layout.count where !inside.contains(i) { #expect(twice[i] == 0) }
  }

  /// Packing again follows the masters.
  @Test(arguments: KernelPath.available) func packingFollowsTheMasters(_ path: KernelPath) throws {
    var layout = ParameterLayout()
    let convolution = Convolution<Float>(&layout, "conv", inputs: 3, outputs: 2)
    let context = Context<Float>(
      workers: Workers(count: 1), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: path))
    let parameters = Parameters<Float>(layout: layout, statistics: ParameterLayout())
    let x = tensor([1, 10, 100], Shape(1, 1, 1, 3), context)
    for factor in [1, 2] as [Float] {
      for i in 0..<6 { parameters.values[i] = factor * Float(i) }
      convolution.pack(parameters.values, backward: true, context)
      let y = Epilogue(out: context.tensor(Shape(1, 1, 1, 2)))
      convolution.forward(.plain(x), parameters, y, context)
      #expect(y.out.array == [420 * factor, 531 * factor])
    }
  }

  @Test func shapesAndMultiplyAdds() {
    var layout = ParameterLayout()
    let stem = Convolution<Float>(&layout, "conv1", inputs: 3, outputs: 64, kernel: 7, stride: 2, padding: 3)
    #expect(stem.outputShape(Shape(2, 256, 128, 3)) == Shape(2, 128, 64, 64))
    #expect(stem.outputShape(Shape(1, 9, 14, 3)) == Shape(1, 5, 7, 64))
    #expect(stem.multiplyAdds(Shape(1, 256, 128, 3)) == 128 * 64 * 64 * 3 * 49)
    let linear = Convolution<Float>(&layout, "fc", inputs: 10, outputs: 4, bias: true, linear: true)
    #expect(linear.weight.shape == [4, 10] && linear.weight.kind == .linear && linear.bias?.shape == [4])
    #expect(stem.weight.shape == [64, 3, 7, 7] && stem.weight.kind == .convolution && stem.bias == nil)
  }
}
