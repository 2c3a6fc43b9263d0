import Layers
import Tensors

// How tensors come to a layer that is tested by itself: as the passes around it would leave them.

// The loops of the conversions are not generic: across modules that would be slow.

func tensor<E: Element>(_ values: [Double], _ shape: Shape, _ context: Context<E>) -> Tensor<E> {
  precondition(values.count == shape.count)
  let tensor = context.tensor(shape), memory = UnsafeMutableRawPointer(tensor.pointer)
  func fill<T>(_: T.Type, _ convert: (Double) -> T) {
    let elements = memory.assumingMemoryBound(to: T.self)
    for i in values.indices { elements[i] = convert(values[i]) }
  }
  switch E.precision {
  case .float16: fill(Float16.self) { Float16($0) }
  case .float32: fill(Float.self) { Float($0) }
  case .float64: fill(Double.self) { $0 }
  }
  return tensor
}

func doubles<E: Element>(_ tensor: Tensor<E>) -> [Double] {
  let memory = UnsafeRawPointer(tensor.pointer)
  func values<T>(_: T.Type, _ convert: (T) -> Double) -> [Double] {
    let elements = memory.assumingMemoryBound(to: T.self)
    return (0..<tensor.shape.count).map { convert(elements[$0]) }
  }
  return withExtendedLifetime(tensor) {
    switch E.precision {
    case .float16: values(Float16.self) { Double($0) }
    case .float32: values(Float.self) { Double($0) }
    case .float64: values(Double.self) { $0 }
    }
  }
}

/// A convolution that changes nothing.
func identity<E: Element>(_ channels: Int, _ context: Context<E>) -> Convolution<E> {
  var layout = ParameterLayout()
  let identity = Convolution<E>(&layout, "identity", inputs: channels, outputs: channels)
  let weights = Buffer<E.Accumulator>(count: layout.count)
  for i in 0..<channels { weights[identity.weight.range.lowerBound + i * channels + i] = 1 }
  identity.pack(weights, backward: true, context)
  return identity
}

/// A gradient as the pass above leaves it for `target`.
func finish<E: Element>(_ values: [Double], _ shape: Shape, _ target: GradientTarget<E>, _ context: Context<E>)
  -> Gradient<E>
{
  var epilogue = Epilogue(out: context.tensor(shape))
  epilogue.target = target
  let sums = identity(shape.channels, context).backwardData(
    .plain(tensor(values, shape, context)), epilogue, context)
  return Gradient(tensor: epilogue.out, sums: sums)
}

/// A batch norm of a tensor that no convolution of ours wrote, with what its passes leave to each other:
/// `NormalizedConvolution` without the convolution.
final class StoredNorm<E: Element> {
  let normalized: GradientTarget<E>.Normalized
  private let norm: BatchNorm<E>, parameters: Parameters<E.Accumulator>, context: Context<E>
  private var recorded: (yBar: Tensor<E>, norm: BatchNorm<E>.Backward)?
  private var tangent: (z: Tensor<E>, norm: BatchNorm<E>.Tangent)?

  /// `sums`: this rank's Σz and Σz² a channel.
  init(
    _ norm: BatchNorm<E>, of z: Tensor<E>, sums: [Double], _ parameters: Parameters<E.Accumulator>,
    _ context: Context<E>
  ) throws {
    (self.norm, self.parameters, self.context) = (norm, parameters, context)
    normalized = .init(z, try norm.normalize(sums, count: z.shape.pixels, parameters, context.communicator))
  }

  convenience init(
    _ norm: BatchNorm<E>, of z: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) throws {
    var sums = [Double](repeating: 0, count: 2 * z.shape.channels)
    for (i, value) in doubles(z).enumerated() {
      sums[i % z.shape.channels] += value
      sums[z.shape.channels + i % z.shape.channels] += value * value
    }
    try self.init(norm, of: z, sums: sums, parameters, context)
  }

  /// ż arrives, with its sums: from the epilogue of a convolution, or from `sums` of (x, ȳ).
  func forwardTangent(
    _ zDot: Tensor<E>, sums: ((GradientTarget<E>.Normalized, _ yBar: Tensor<E>) -> [Double])? = nil
  ) throws {
    let yBar = recorded!.yBar
    var epilogue = Epilogue(out: context.tensor(zDot.shape))
    epilogue.tangentOf = (normalized, yBar)
    let arrived = identity(zDot.shape.channels, context).forwardTangent(.plain(zDot), epilogue, context)
    let result = try norm.forwardTangent(
      normalized.state, sums?(normalized, yBar) ?? arrived, parameters, context.communicator)
    tangent = (epilogue.out, result)
  }

  /// ẏ, pending.
  var yDot: Operand<E> { .gradient(tangent!.z, through: normalized.z, tangent!.norm.coefficients) }
  /// The tangent of max(0, y), pending.
  var activationDot: Operand<E> {
    .activationTangent(tangent!.z, through: normalized.z, normalized.state, tangent!.norm.coefficients)
  }

  /// z̄. `sums` are Σȳ and Σȳ(z − mean).
  func backward(_ yBar: Tensor<E>, sums: [Double], _ pass: BackwardPass) throws -> [Double] {
    let (z, state) = (normalized.z, normalized.state)
    if case .regularized(let gradients, let weight) = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(
        state, recorded.norm, tangent.norm, weight: weight, sums, parameters, into: gradients, context.communicator)
      return doubles(
        Operand.regularizedGradient(yBar, through: z, recorded.yBar, tangent.z, coefficients).materialized(context))
    }
    let backward = try norm.backward(state, sums, parameters, into: pass.gradients, context.communicator)
    if pass.gradients == nil { recorded = (yBar, backward) }
    return doubles(Operand.gradient(yBar, through: z, backward.coefficients).materialized(context))
  }
}

/// A convolution without a norm on one input, with what its passes leave to each other (in the network, `Pyramid` and
/// `EmbeddingNeck` keep it).
final class ConvolutionPasses<E: Element> {
  private let convolution: Convolution<E>, x: Tensor<E>, context: Context<E>
  private var xDot: Tensor<E>?, recorded: Tensor<E>?
  let y: Tensor<E>

  init(
    _ convolution: Convolution<E>, _ x: Tensor<E>, adding addend: Tensor<E>? = nil,
    _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) {
    (self.convolution, self.x, self.context) = (convolution, x, context)
    var epilogue = Epilogue(out: context.tensor(convolution.outputShape(x.shape)))
    epilogue.addend = addend
    convolution.forward(.plain(x), parameters, epilogue, context)
    y = epilogue.out
  }

  func forwardTangent(_ xDot: Tensor<E>, adding addend: Tensor<E>? = nil) -> Tensor<E> {
    self.xDot = xDot
    var epilogue = Epilogue(out: context.tensor(y.shape))
    epilogue.addend = addend
    convolution.forwardTangent(.plain(xDot), epilogue, context)
    return epilogue.out
  }

  func backward(_ yBar: Tensor<E>, _ pass: BackwardPass) -> Tensor<E> {
    if let gradients = pass.gradients {
      let term = xDot.map { (x: Operand.plain($0), yBar: Operand.scaled(recorded!, by: pass.tangentWeight)) }
      convolution.backwardWeights(.plain(x), .plain(yBar), tangent: term, into: gradients, context)
    } else {
      recorded = yBar
    }
    let xBar = Epilogue(out: context.tensor(x.shape))
    convolution.backwardData(.plain(yBar), xBar, context)
    return xBar.out
  }
}
