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
  private let norm: Norm<E>, run: Run<E>
  private var context: Context<E> { run.context }
  private var recorded: (yBar: Tensor<E>, norm: NormBackward<E.Accumulator>)?
  private var tangent: (z: Tensor<E>, norm: NormTangent<E.Accumulator>)?

  /// `sums`: this rank's Σz and Σz² a channel.
  init(
    _ norm: Norm<E>, of z: Tensor<E>, sums: Sums, _ run: Run<E>
  ) throws {
    (self.norm, self.run) = (norm, run)
    normalized = .init(z, try norm.normalize(sums, z.shape, run))
  }

  convenience init(
    _ norm: Norm<E>, of z: Tensor<E>, _ run: Run<E>
  ) throws {
    let (channels, perImage) = (z.shape.channels, norm.instanceChannels > 0)
    let sets = perImage ? z.shape.images : 1
    var sums = [Double](repeating: 0, count: sets * 2 * channels)
    for (i, value) in doubles(z).enumerated() {
      let first = perImage ? i / (z.shape.area * channels) * 2 * channels : 0
      sums[first + i % channels] += value
      sums[first + channels + i % channels] += value * value
    }
    try self.init(norm, of: z, sums: Sums(terms: 2, channels: channels, sets: sets, sums), run)
  }

  /// ż arrives, with its sums: from the epilogue of a convolution, or from `sums` of (x, ȳ).
  func forwardTangent(
    _ zDot: Tensor<E>, sums: ((GradientTarget<E>.Normalized, _ yBar: Tensor<E>) -> Sums)? = nil
  ) throws {
    let yBar = recorded!.yBar
    var epilogue = Epilogue(out: context.tensor(zDot.shape))
    epilogue.tangentOf = (normalized, yBar)
    let arrived = identity(zDot.shape.channels, context).forwardTangent(.plain(zDot), epilogue, context)
    let result = try norm.forwardTangent(
      normalized.state, sums?(normalized, yBar) ?? arrived, run)
    tangent = (epilogue.out, result)
  }

  /// ẏ, pending.
  var yDot: Operand<E> { .gradient(tangent!.z, through: normalized.z, tangent!.norm.coefficients) }
  /// The tangent of max(0, y), pending.
  var activationDot: Operand<E> {
    .activationTangent(tangent!.z, through: normalized.z, normalized.state, tangent!.norm.coefficients)
  }

  /// z̄. `sums` are Σȳ and Σȳ(z − mean).
  func backward(_ yBar: Tensor<E>, sums: Sums, _ pass: BackwardPass) throws -> [Double] {
    let (z, state) = (normalized.z, normalized.state)
    if case .regularized(let gradients, let weight) = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(
        state, recorded.norm, tangent.norm, weight: weight, sums, into: gradients, run)
      return doubles(
        Operand.regularizedGradient(yBar, through: z, recorded.yBar, tangent.z, coefficients).materialized(context))
    }
    let backward = try norm.backward(state, sums, into: pass.gradients, run)
    if pass.gradients == nil { recorded = (yBar, backward) }
    return doubles(Operand.gradient(yBar, through: z, backward.coefficients).materialized(context))
  }
}
