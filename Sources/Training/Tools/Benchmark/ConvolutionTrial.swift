import Layers
import Tensors

/// A convolution between two batch norms, as a step runs it, on noise:
///
/// - forward reads the activation that is pending on what the convolution below wrote, and takes the sums for the norm above;
/// - backward data reads the gradient that is pending on that norm, writes through the ReLU below and takes the sums for the
///   norm below;
/// - backward weights reads both.
///
/// The first convolution of a block, which in a step reads a stored tensor, is measured like the others.
struct ConvolutionTrial<E: Element> {
  private let convolution: any LinearMap<E>
  private let parameters: Parameters<E.Accumulator>
  private let gradients: ParameterGradients
  private let context: Context<E>
  private let x: Operand<E>, yBar: Operand<E>
  private let y: Tensor<E>, xBar: Tensor<E>
  /// Where the gradient of x goes through.
  private let target: GradientTarget<E>
  /// Of each pass.
  let multiplyAdds: Int

  init(_ shape: ConvolutionShape, images: Int, _ context: Context<E>) throws {
    self.context = context
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let below = Norm<E>(&layout, &statistics, "below", channels: shape.inputs)
    convolution =
      shape.groups > 1
      ? DepthwiseConvolution(
        &layout, "convolution", channels: shape.inputs, kernel: shape.kernel, stride: shape.stride)
      : Convolution(
        &layout, "convolution", inputs: shape.inputs, outputs: shape.outputs, kernel: shape.kernel,
        stride: shape.stride, padding: shape.padding)
    let above = Norm<E>(&layout, &statistics, "above", channels: shape.outputs)
    parameters = Parameters(layout: layout, statistics: statistics)
    gradients = ParameterGradients(count: layout.count)
    gradients.reset(scale: 1, E.Accumulator.self)

    let noise = Noise<E>()
    let input = shape.input(images)
    let output = convolution.geometry.outputShape(input)
    multiplyAdds = convolution.geometry.multiplyAdds(input)
    // He's initialization: y is about as large as x.
    let deviation = (2 / Double(shape.kernel * shape.kernel * shape.inputs / shape.groups)).squareRoot()
    for index in convolution.slots[0].range {
      parameters.values[index] = E.Accumulator(deviation * Double(noise[index]))
    }
    for norm in [below, above] { for index in norm.scale.range { parameters.values[index] = 1 } }
    convolution.pack(parameters.values, backward: !shape.readsImages, context)

    let z = noise.tensor(input, context)
    let run = Run(context, parameters, .training(seed: 0, step: 0, firstRow: 0))
    // The noise has mean 0 and variance 1.
    let ones = [Double](repeating: Double(input.pixels), count: shape.inputs)
    let state = try below.normalize(
      Sums(terms: 2, channels: shape.inputs, ones.map { _ in 0 } + ones), input, run)
    let normalized = GradientTarget<E>.Normalized(z, state)
    x = shape.readsImages ? .plain(z) : .activation(z, state)
    target = GradientTarget(gate: .activation(normalized), norms: [normalized])
    xBar = context.tensor(shape.readsImages ? Shape(0, 1, 1, shape.inputs) : input)
    y = context.tensor(output)
    var epilogue = Epilogue(out: y)
    epilogue.forwardSums = .ofAllImages
    let sums = convolution.forward(x, parameters, epilogue, context)
    let stateAbove = try above.normalize(sums, output, run)
    let none = Sums(terms: 2, channels: shape.outputs)
    let backward = try above.backward(stateAbove, none, into: nil, run)
    yBar = .gradient(noise.tensor(output, context), through: y, backward.coefficients)
  }

  func forward() {
    var epilogue = Epilogue(out: y)
    epilogue.forwardSums = .ofAllImages
    convolution.forward(x, parameters, epilogue, context)
  }

  func backwardData() {
    var epilogue = Epilogue(out: xBar)
    epilogue.target = target
    convolution.backwardData(yBar, epilogue, context)
  }

  func backwardWeights() { convolution.backwardWeights(x, yBar, tangent: nil, into: gradients, context) }
}

/// Normal numbers, repeated as often as a tensor needs them: to fill a batch with fresh ones would take longer than to
/// multiply it.
private struct Noise<E: Element> {
  /// Of a length that no number of channels divides.
  private let values: [E]

  init() {
    var random = CounterRandom(seed: 1, purpose: .probing)
    values = (0..<65_537).map { _ in E(Float(random.normal())) }
  }

  subscript(index: Int) -> E { values[index % values.count] }

  func tensor(_ shape: Shape, _ context: Context<E>) -> Tensor<E> {
    let tensor = context.tensor(shape)
    let period = values.count
    context.workers.parallelFor((shape.count + period - 1) / period) { index, _ in
      let start = index * period
      values.withUnsafeBufferPointer {
        (tensor.pointer + start).update(
          from: $0.baseAddress!, count: min(period, shape.count - start))
      }
    }
    return tensor
  }
}
