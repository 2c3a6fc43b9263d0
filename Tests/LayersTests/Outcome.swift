import Collectives
import Kernels
import Layers
import Tensors

/// Which passes of a layer an outcome is of.
enum Course: Sendable {
  /// Forward and backward: y, x̄, θ̄.
  case plain
  /// Forward and a backward pass that only records: y, x̄.
  case recording
  /// The second backward pass of a layer that was not perturbed, fed with ȳ: y, x̄, θ̄.
  case unperturbed
  /// Forward, a recording backward pass, forwardTangent and the backward pass of J, with tangents stored `scale` times:
  /// scale·ẏ, x̄ + κx̄˙, θ̄ + κθ̄˙.
  case tangent(scale: Double)

  static var tangent: Course { .tangent(scale: 1) }
  /// The two halves of a layer.
  static var halves: [Course] { [.plain, .tangent] }
}

/// An output, or its tangent, the gradients of the inputs and those of the parameters (by slot).
struct Outcome: Sendable {
  var y: [Double]
  var inputs: [[Double]]
  var parameters: [[Double]]

  /// All parameters at once: the gradient of a bias that a batch norm removes is nothing but rounding.
  var allParameters: [Double] { parameters.flatMap { $0 } }
}

/// Runs passes of a layer on a share of the images.
func outcome<E: Element>(
  _ layer: some LayerCase, _: E.Type, _ values: Values, _ passes: Course = .plain, images: Range<Int>? = nil,
  path: KernelPath = .blas, multiplication: Multiplication = .exact, threads: Int = 1,
  _ communicator: any Communicator = SoloCommunicator()
) throws -> Outcome {
  try outcome(
    layer, Kernels<E>(path: path, multiplication: multiplication), values, passes, images: images, threads: threads,
    communicator)
}

/// The same with given kernels.
func outcome<E: Element>(
  _ layer: some LayerCase, _ kernels: Kernels<E>, _ values: Values, _ passes: Course = .plain,
  images: Range<Int>? = nil, threads: Int = 1, _ communicator: any Communicator = SoloCommunicator()
) throws -> Outcome {
  let built = layer.build(E.self)
  let images = images ?? 0..<values.images
  let context = Context<E>(
    workers: Workers(count: threads), communicator: communicator, arena: Arena(), kernels: kernels)
  let parameters = Parameters<E.Accumulator>(layout: built.layout, statistics: built.statistics)
  for (slot, list) in zip(built.layout.slots, values.parameters) {
    for (i, value) in zip(slot.range, list) { parameters.values[i] = E.Accumulator(value) }
  }
  built.pack(parameters, context)
  func share(_ lists: [[Double]], times factor: Double = 1) -> [Tensor<E>] {
    zip(layer.inputs, lists).map { shape, list in
      let own = list[images.lowerBound * shape.count..<images.upperBound * shape.count].map { factor * $0 }
      return tensor(own, Shape(images.count, shape.height, shape.width, shape.channels), context)
    }
  }
  let run = Run(context, parameters, .training(seed: 1, step: 1, firstRow: images.lowerBound))
  let pass = try built.run(share(values.inputs), run)
  let perImage = images.isEmpty ? 0 : pass.y.count / images.count, count = perImage * values.images
  let yBar = Array(values.cotangent(count)[perImage * images.lowerBound..<perImage * images.upperBound])
  let gradients = ParameterGradients(count: built.layout.count)
  gradients.reset(scale: 1, E.Accumulator.self)

  var y = pass.y
  let inputBars: [[Double]]
  switch passes {
  case .plain: inputBars = try pass.backward(yBar, .plain(gradients))
  case .recording: inputBars = try pass.backward(yBar, .recording(places: []))
  case .unperturbed:
    inputBars = try pass.backward(yBar, .regularized(gradients, tangentWeight: Values.tangentWeight))
  case .tangent(let scale):
    _ = try pass.backward(yBar, .recording(places: []))
    y = try pass.forwardTangent(share(values.tangents, times: scale))
    let h = Array(values.regularizedCotangent(count)[perImage * images.lowerBound..<perImage * images.upperBound])
    inputBars = try pass.backward(h, .regularized(gradients, tangentWeight: Values.tangentWeight / scale))
  }
  return Outcome(
    y: y, inputs: inputBars, parameters: built.layout.slots.map { slot in slot.range.map { gradients[$0] } })
}

/// The same on several ranks, rank r with counts[r] images; gradients of parameters are added up.
func sharded<E: Element>(
  _ layer: some LayerCase, _: E.Type, _ values: Values, _ passes: Course, _ counts: [Int], path: KernelPath
) throws -> Outcome {
  try sharded(layer, Kernels<E>(path: path), values, passes, counts)
}

func sharded<E: Element>(
  _ layer: some LayerCase, _ kernels: Kernels<E>, _ values: Values, _ passes: Course, _ counts: [Int]
) throws -> Outcome {
  let parts = try ThreadCommunicator.run(counts.count) { communicator in
    let first = counts[..<communicator.rank].reduce(0, +)
    return try outcome(
      layer, kernels, values, passes, images: first..<first + counts[communicator.rank],
      threads: 1 + communicator.rank % 2, communicator)
  }
  var whole = Outcome(
    y: parts.flatMap(\.y), inputs: layer.inputs.indices.map { i in parts.flatMap { $0.inputs[i] } },
    parameters: parts[0].parameters)
  for part in parts.dropFirst() {
    for (slot, gradient) in part.parameters.enumerated() {
      for (i, value) in gradient.enumerated() { whole.parameters[slot][i] += value }
    }
  }
  return whole
}
