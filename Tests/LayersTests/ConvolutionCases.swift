import Layers
import Network
import Tensors

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

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let convolution = Convolution<E>(
      &layout, "conv", inputs: inputChannels, outputs: outputChannels, kernel: kernel, stride: stride, padding: padding,
      bias: bias)
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(), pack: { convolution.pack($0.values, backward: true, $1) },
      run: { inputs, parameters, _, context in
        let passes = ConvolutionPasses(convolution, inputs[0], parameters, context)
        return .init(
          y: doubles(passes.y), forwardTangent: { doubles(passes.forwardTangent($0[0])) },
          backward: { yBar, pass in [doubles(passes.backward(tensor(yBar, passes.y.shape, context), pass))] })
      })
  }
}

/// Convolution → batch norm → ReLU, the unit of the network.
struct NormalizedConvolutionCase: LayerCase {
  let convolution: ConvolutionCase

  var name: String { "normalized " + convolution.name }
  var inputs: [Shape] { convolution.inputs }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let c = convolution
    let unit = NormalizedConvolution(
      convolution: Convolution<E>(
        &layout, "conv", inputs: c.inputChannels, outputs: c.outputChannels, kernel: c.kernel, stride: c.stride,
        padding: c.padding, bias: c.bias),
      norm: BatchNorm<E>(&layout, &statistics, "bn", channels: c.outputChannels))
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { unit.convolution.pack($0.values, backward: true, $1) },
      run: { inputs, parameters, updates, context in
        let x = inputs[0]
        var saved = try unit.forward(.plain(x), parameters, &updates, training: true, context)
        return .init(
          y: doubles(saved.activation.materialized(context)),
          forwardTangent: { xDots in
            try unit.forwardTangent(&saved, .plain(xDots[0]), parameters, context)
            return doubles(saved.activationTangent.materialized(context))
          },
          backward: { yBar, pass in
            let yBar = finish(yBar, saved.z.shape, saved.target, context)
            let zBar = try unit.backward(&saved, yBar.tensor, sums: yBar.sums, parameters, pass, context)
            let xBar = Epilogue(out: context.tensor(x.shape))
            unit.convolution.backwardData(zBar, xBar, context)
            return [doubles(xBar.out)]
          })
      })
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
      run: { inputs, parameters, _, context in
        let passes = ConvolutionPasses(lateral, inputs[0], adding: inputs[1], parameters, context)
        return .init(
          y: doubles(passes.y), forwardTangent: { doubles(passes.forwardTangent($0[0], adding: $0[1])) },
          backward: { yBar, pass in
            let yBar = tensor(yBar, passes.y.shape, context)
            let coarseBar = Upsample.backward(yBar, height: coarseHeight, width: coarseWidth, context)
            return [doubles(passes.backward(yBar, pass)), doubles(coarseBar)]
          })
      })
  }
}

/// A whole bottleneck.
struct BottleneckCase: LayerCase {
  let channels: Int, inner: Int, stride: Int, downsample: Bool, height: Int, width: Int

  var name: String {
    "bottleneck \(channels)→\(inner)→\(4 * inner)/\(stride) of \(height)×\(width)\(downsample ? ", downsample" : "")"
  }
  var inputs: [Shape] { [Shape(1, height, width, channels)] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    func unit(_ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1) -> NormalizedConvolution<
      E
    > {
      NormalizedConvolution(
        convolution: Convolution(
          &layout, name + ".conv", inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: kernel / 2
        ),
        norm: BatchNorm(&layout, &statistics, name + ".bn", channels: outputs))
    }
    let block = Bottleneck(
      first: unit("1", channels, inner), second: unit("2", inner, inner, kernel: 3, stride: stride),
      third: unit("3", inner, 4 * inner),
      downsample: downsample ? unit("d", channels, 4 * inner, stride: stride) : nil)
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in
        for unit in [block.first, block.second, block.third, block.downsample] {
          unit?.convolution.pack(parameters.values, backward: true, context)
        }
      },
      run: { inputs, parameters, updates, context in
        var saved = try block.forward(inputs[0], parameters, &updates, training: true, context)
        return .init(
          y: doubles(saved.y),
          forwardTangent: { doubles(try block.forwardTangent(&saved, $0[0], parameters, context)) },
          backward: { yBar, pass in
            let yBar = finish(yBar, saved.y.shape, saved.target, context)
            return [doubles(try block.backward(&saved, yBar, target: .plain, parameters, pass, context).tensor)]
          })
      })
  }
}
