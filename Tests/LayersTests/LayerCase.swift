import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// A layer as the generic checks see it: tensors in, a tensor out, and the way back.
protocol LayerCase: Sendable, CustomTestStringConvertible {
  var name: String { get }
  /// The inputs of one image.
  var inputs: [Shape] { get }
  /// Linear in its inputs (and without bias).
  var isLinear: Bool { get }
  func build<E: Element>(_: E.Type) -> BuiltLayer<E>
}

extension LayerCase {
  var isLinear: Bool { false }
  var testDescription: String { name }
}

/// A layer with storage `E`; one a rank.
struct BuiltLayer<E: Element> {
  typealias A = E.Accumulator
  /// An output with its layout image by image, and from its gradient to those of the inputs and the parameters.
  struct Pass {
    let y: [Double]
    let pullback: (_ yBar: [Double], _ gradients: ParameterGradients) throws -> [[Double]]
  }

  let layout: ParameterLayout, statistics: ParameterLayout
  let pack: (Parameters<A>, Context<E>) -> Void
  let run: ([Tensor<E>], Parameters<A>, inout RunningUpdates, Context<E>) throws -> Pass
}

/// y, the gradients of the inputs and those of the parameters (by slot).
struct Outcome: Sendable {
  var y: [Double]
  var inputs: [[Double]]
  var parameters: [[Double]]
}

/// Values of a whole batch, all float16 numbers, so that every precision starts from the same.
struct Values: Sendable {
  var inputs: [[Double]]
  var parameters: [[Double]]
  let images: Int
  let seed: UInt64

  init(_ layer: some LayerCase, images: Int, seed: UInt64 = 1) {
    var random = CounterRandom(seed: seed, purpose: .probing)
    func half(_ value: Double) -> Double { Double(Float16(value)) }
    inputs = layer.inputs.map { shape in (0..<images * shape.count).map { _ in half(random.normal()) } }
    parameters = layer.build(Double.self).layout.slots.map { slot in
      (0..<slot.count).map { _ in
        switch slot.kind {
        case .normScale: half(1 + 0.3 * random.normal())
        case .convolution: half(random.normal() / Double(slot.count / slot.shape[0]).squareRoot())
        default: half(0.5 * random.normal())
        }
      }
    }
    (self.images, self.seed) = (images, seed)
  }

  /// The gradient of y, for a y of `count` values over all images.
  func cotangent(_ count: Int) -> [Double] {
    var random = CounterRandom(seed: seed, position: 1, purpose: .probing)
    return (0..<count).map { _ in Double(Float16(random.normal())) }
  }
}

/// Runs a layer forward and backward on a share of the images.
func outcome<E: Element>(
  _ layer: some LayerCase, _: E.Type, _ values: Values, images: Range<Int>? = nil, path: KernelPath = .blas,
  threads: Int = 1,
  _ communicator: any Communicator = SoloCommunicator()
) throws -> Outcome {
  let built = layer.build(E.self)
  let images = images ?? 0..<values.images
  let context = Context<E>(
    workers: Workers(count: threads), communicator: communicator, arena: Arena(), kernels: Kernels(path: path))
  let parameters = Parameters<E.Accumulator>(layout: built.layout, statistics: built.statistics)
  for (slot, list) in zip(built.layout.slots, values.parameters) {
    for (i, value) in zip(slot.range, list) { parameters.values[i] = E.Accumulator(value) }
  }
  built.pack(parameters, context)
  let inputs = zip(layer.inputs, values.inputs).map { shape, list in
    let share = Array(list[images.lowerBound * shape.count..<images.upperBound * shape.count])
    return tensor(share, Shape(images.count, shape.height, shape.width, shape.channels), context)
  }
  var updates = RunningUpdates()
  let pass = try built.run(inputs, parameters, &updates, context)
  let perImage = images.isEmpty ? 0 : pass.y.count / images.count
  let cotangent = values.cotangent(perImage * values.images)
  let gradients = ParameterGradients(count: built.layout.count)
  let yBar = Array(cotangent[perImage * images.lowerBound..<perImage * images.upperBound])
  let inputBars = try pass.pullback(yBar, gradients)
  return Outcome(
    y: pass.y, inputs: inputBars,
    parameters: built.layout.slots.map { slot in slot.range.map { Double(gradients[$0]) } })
}

func tensor<E: Element>(_ values: [Double], _ shape: Shape, _ context: Context<E>) -> Tensor<E> {
  let tensor = context.tensor(shape)
  tensor.fill(values.map { E($0) })
  return tensor
}

func doubles<T: Element>(_ tensor: Tensor<T>) -> [Double] { tensor.array.map { Double($0) } }

/// A gradient as the pass above leaves it for `target`: through a convolution by the identity.
func finish<E: Element>(_ values: [Double], _ shape: Shape, _ target: GradientTarget<E>, _ context: Context<E>)
  -> Gradient<E>
{
  var layout = ParameterLayout()
  let channels = shape.channels
  let identity = Convolution<E>(&layout, "identity", inputs: channels, outputs: channels)
  let weights = Buffer<E.Accumulator>(count: layout.count)
  for i in 0..<channels { weights[identity.weight.range.lowerBound + i * channels + i] = 1 }
  identity.pack(weights, backward: true, context)
  var epilogue = Epilogue(out: context.tensor(shape))
  epilogue.target = target
  let sums = identity.backwardData(.plain(tensor(values, shape, context)), epilogue, context)
  return Gradient(tensor: epilogue.out, sums: sums)
}

func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
func norm(_ a: [Double]) -> Double { dot(a, a).squareRoot() }

/// ‖a − b‖ / ‖b‖, or infinite where the counts differ.
func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let difference = norm(zip(a, b).map { $0 - $1 })
  return difference == 0 ? 0 : difference / norm(b)
}
