import Layers
import Network
import Tensors

/// A layer on one stored tensor, as the generic checks see it.
func passes<E: Element>(_ layer: any Layer<E>, _ x: Tensor<E>, _ run: Run<E>) throws -> BuiltLayer<E>.Pass {
  let passes = try layer.forward(.plain(x), run)
  return .init(passes, run)
}

extension BuiltLayer.Pass {
  /// `second`: from the gradient of y to that of a second input.
  init(
    _ passes: any Passes<E>, _ run: Run<E>, adding v: Bool = false, second: ((Tensor<E>) -> Tensor<E>)? = nil
  ) {
    let context = run.context
    self.init(
      y: doubles(passes.y.value.materialized(context)),
      forwardTangent: { xDots in
        doubles(
          try passes.forwardTangent(.plain(xDots[0]), adding: v ? xDots[1] : nil, run).materialized(context))
      },
      backward: { yBar, pass in
        let gradient = finish(yBar, passes.y.shape, passes.y.target, context)
        let xBar = try passes.backward(gradient, adding: nil, target: .plain, pass, run).tensor
        return [doubles(xBar)] + (second.map { [doubles($0(gradient.tensor))] } ?? [])
      })
  }
}

/// A convolution by itself.
struct ConvolutionCase: LayerCase {
  var inputChannels: Int, outputChannels: Int, kernel = 1, stride = 1, padding = 0, bias = false
  var height: Int, width: Int

  var name: String {
    let taps = "\(kernel)×\(kernel)/\(stride)+\(padding)"
    return "convolution \(taps) \(inputChannels)→\(outputChannels) of \(height)×\(width)\(bias ? ", bias" : "")"
  }
  var inputs: [Shape] { [Shape(1, height, width, inputChannels)] }
  var isLinear: Bool { !bias }

  func convolution<E: Element>(_ layout: inout ParameterLayout) -> Convolution<E> {
    Convolution<E>(
      &layout, "conv", inputs: inputChannels, outputs: outputChannels, kernel: kernel, stride: stride, padding: padding,
      bias: bias)
  }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let convolution: Convolution<E> = convolution(&layout)
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(), pack: { convolution.pack($0.values, backward: true, $1) },
      run: { inputs, run in .init(LinearPasses(convolution, .plain(inputs[0]), run), run) })
  }
}

/// Convolution → norm → ReLU, the unit of the network.
struct NormalizedConvolutionCase: LayerCase {
  let convolution: ConvolutionCase
  /// Channels that are normalized over single images; nil: batch norm.
  var instanceChannels: Int?
  var isActivated = true

  var name: String {
    (instanceChannels.map { "normalized, \($0) channels by image, " } ?? "normalized ") + convolution.name
      + (isActivated ? "" : ", without ReLU")
  }
  var inputs: [Shape] { convolution.inputs }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let map: Convolution<E> = convolution.convolution(&layout)
    let channels = convolution.outputChannels
    let norm =
      instanceChannels.map { Norm<E>(&layout, &statistics, "bn", channels: channels, instanceChannels: $0) }
      ?? Norm(&layout, &statistics, "bn", channels: channels)
    let unit = NormalizedConvolution(map, norm, isActivated: isActivated)
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { map.pack($0.values, backward: true, $1) },
      run: { inputs, run in try passes(unit, inputs[0], run) })
  }
}

/// A depthwise convolution by itself, or with a norm and a ReLU; what it reads, where it is the second of two, is pending.
struct DepthwiseCase: LayerCase {
  let channels: Int, stride: Int, height: Int, width: Int
  /// How many normalized ones, one after the other; 0: one by itself.
  var units = 0
  var isActivated = false

  var name: String {
    "depthwise 3×3/\(stride) of \(height)×\(width)×\(channels)\(units > 0 ? ", \(units) normalized\(isActivated ? ", rectified" : "")" : "")"
  }
  var inputs: [Shape] { [Shape(1, height, width, channels)] }
  var isLinear: Bool { units == 0 }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let maps = (0..<max(1, units)).map {
      DepthwiseConvolution<E>(&layout, "conv\($0)", channels: channels, stride: stride)
    }
    let norms = (0..<units).map { Norm<E>(&layout, &statistics, "bn\($0)", channels: channels) }
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in for map in maps { map.pack(parameters.values, backward: true, context) } },
      run: { inputs, run in
        guard units > 0 else { return .init(LinearPasses(maps[0], .plain(inputs[0]), run), run) }
        return try passes(
          Chain(zip(maps, norms).map { NormalizedConvolution($0, $1, isActivated: isActivated) }), inputs[0], run)
      })
  }
}

/// Units one after the other: each reads what is pending on the one before.
private final class Chain<E: Element>: Layer {
  private let units: [NormalizedConvolution<E>]

  init(_ units: [NormalizedConvolution<E>]) { self.units = units }

  func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    units.reduce(x) { $1.express($0, in: graph) }
  }

  func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    var passes: [UnitPasses<E>] = []
    for unit in units { passes.append(try unit.pass(passes.last?.y ?? x, run)) }
    return ChainPasses(passes)
  }
}

private final class ChainPasses<E: Element>: Passes {
  private let units: [UnitPasses<E>]

  init(_ units: [UnitPasses<E>]) { self.units = units }

  var y: Feature<E> { units[units.count - 1].y }
  var storedTangents: [Tensor<E>] { units.flatMap { $0.storedTangents } }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    try units.reduce(xDot) { try $1.forwardTangent($0, run) }
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    var gradient = yBar
    for index in units.indices.reversed() {
      gradient = try units[index].backward(
        gradient, target: index > 0 ? units[index - 1].y.target : target, pass, run)
    }
    return gradient
  }
}

/// A level of the pyramid: a 1×1 convolution with bias, plus a coarser map read at the nearest pixel.
struct LateralCase: LayerCase {
  let inputChannels: Int, outputChannels: Int, height: Int, width: Int, coarseHeight: Int, coarseWidth: Int

  var name: String {
    "lateral \(inputChannels)→\(outputChannels) of \(height)×\(width) plus \(coarseHeight)×\(coarseWidth)"
  }
  var inputs: [Shape] { [Shape(1, height, width, inputChannels), Shape(1, coarseHeight, coarseWidth, outputChannels)] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let lateral = Convolution<E>(&layout, "lateral", inputs: inputChannels, outputs: outputChannels, bias: true)
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(), pack: { lateral.pack($0.values, backward: true, $1) },
      run: { inputs, run in
        .init(LinearPasses(lateral, .plain(inputs[0]), adding: inputs[1], run), run, adding: true) {
          Upsample.backward($0, height: coarseHeight, width: coarseWidth, run.context)
        }
      })
  }
}

/// A map times a gate a pixel, or a pixel and channel.
struct PixelGateCase: LayerCase {
  let shape: Shape, perChannel: Bool

  var name: String { "gate a pixel\(perChannel ? " and channel" : "") of \(shape)" }
  var inputs: [Shape] { [shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let gate = PixelGate<E>(&layout, "gate", channels: shape.channels, perChannel: perChannel)
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(),
      pack: { parameters, context in
        for map in gate.maps { map.pack(parameters.values, backward: true, context) }
      },
      run: { inputs, run in try passes(gate, inputs[0], run) })
  }
}

/// A non-local block.
struct NonLocalCase: LayerCase {
  let shape: Shape, inner: Int

  var name: String { "non-local block of \(shape), \(inner) inner" }
  var inputs: [Shape] { [shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let layer = NonLocal<E>(&layout, &statistics, "NL", channels: shape.channels, inner: inner)
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in
        for map in layer.maps { map.pack(parameters.values, backward: true, context) }
      },
      run: { inputs, run in try passes(layer, inputs[0], run) })
  }
}

/// A whole bottleneck.
struct BottleneckCase: LayerCase {
  let channels: Int, inner: Int, stride: Int, downsample: Bool, height: Int, width: Int
  var gate = Gate.none

  enum Gate {
    case none
    case excitation(hidden: Int)
    case convolution(kernel: Int)
  }

  var name: String {
    "bottleneck \(channels)→\(inner)→\(4 * inner)/\(stride) of \(height)×\(width)\(downsample ? ", downsample" : "")"
      + ", gate \(gate)"
  }
  var inputs: [Shape] { [Shape(1, height, width, channels)] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    var maps: [Convolution<E>] = []
    func unit(_ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, isActivated: Bool = true)
      -> NormalizedConvolution<E>
    {
      let map = Convolution<E>(
        &layout, name + ".conv", inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: kernel / 2)
      maps.append(map)
      return NormalizedConvolution(
        map, Norm(&layout, &statistics, name + ".bn", channels: outputs), isActivated: isActivated)
    }
    var units = [unit("1", channels, inner), unit("2", inner, inner, kernel: 3, stride: stride)]
    let last = unit("3", inner, 4 * inner, isActivated: false)
    let gate = self.gate(E.Accumulator.self, &layout)
    units.append(NormalizedConvolution(last.convolution, last.norm, isActivated: false, gate: gate))
    let block = ResidualBlock(
      units,
      downsample: downsample ? unit("d", channels, 4 * inner, stride: stride, isActivated: false) : nil)
    let packed = maps
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in
        for map in packed { map.pack(parameters.values, backward: true, context) }
        for map in gate?.maps ?? [] { map.pack(parameters.values, backward: true, context.accumulating) }
      },
      run: { inputs, run in try passes(block, inputs[0], run) })
  }

  private func gate<A: Element>(_: A.Type, _ layout: inout ParameterLayout) -> (any ChannelGate<A>)?
  where A.Accumulator == A {
    switch gate {
    case .none: return nil
    case .excitation(let hidden): return SqueezeExcitation<A>(&layout, "se", channels: 4 * inner, hidden: hidden)
    case .convolution(let kernel):
      var options = ChannelConvolutionOptions()
      options.kernel = kernel
      return ChannelConvolution<A>(&layout, "eca", channels: 4 * inner, options)
    }
  }
}
