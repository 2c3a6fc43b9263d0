import Layers
import Network
import Tensors

/// The streams of OSNet's block with their gate.
struct OmniScaleCase: LayerCase {
  let channels: Int, hidden: Int, height: Int, width: Int
  var streams = 4

  var name: String { "\(streams) streams of \(height)×\(width)×\(channels), \(hidden) hidden" }
  var inputs: [Shape] { [Shape(1, height, width, channels)] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    var maps: [any LinearMap<E>] = []
    let lights = (0..<streams).map { stream in
      (0...stream).map { layer in
        let name = "\(stream).\(layer)"
        let pointwise = Convolution<E>(&layout, name + ".conv1", inputs: channels, outputs: channels)
        let depthwise = DepthwiseConvolution<E>(&layout, name + ".conv2", channels: channels)
        maps += [pointwise, depthwise]
        return LightConvolution(
          pointwise,
          NormalizedConvolution(depthwise, Norm(&layout, &statistics, name + ".bn", channels: channels)))
      }
    }
    let gate = SqueezeExcitation<E.Accumulator>(
      &layout, reduce: "fc1", expand: "fc2", channels: channels, hidden: hidden)
    let layer = OmniScaleStreams(lights, UnifiedGate<E>(gate)), packed = maps
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in
        for map in packed { map.pack(parameters.values, backward: true, context) }
        for map in gate.maps { map.pack(parameters.values, backward: true, context.accumulating) }
      },
      run: { inputs, run in try passes(layer, inputs[0], run) })
  }
}

/// A unit whose output is written, as it is or averaged over windows.
struct StoredUnitCase: LayerCase {
  let convolution: ConvolutionCase
  var isAveraged = false, isInstance = false

  var name: String {
    (isAveraged ? "averaged" : "stored") + " unit, \(isInstance ? "instance norm, " : "")" + convolution.name
  }
  var inputs: [Shape] { convolution.inputs }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let map: Convolution<E> = convolution.convolution(&layout), channels = convolution.outputChannels
    let norm =
      isInstance
      ? Norm<E>(&layout, instance: "in", channels: channels) : Norm(&layout, &statistics, "bn", channels: channels)
    let unit = NormalizedConvolution(map, norm)
    let layer: any Layer<E> = isAveraged ? AveragedUnit(unit) : StoredUnit(unit)
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { map.pack($0.values, backward: true, $1) },
      run: { inputs, run in try passes(layer, inputs[0], run) })
  }
}
