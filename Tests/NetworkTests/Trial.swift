import Collectives
import Kernels
import Layers
import Losses
import Network
import Tensors

/// A network with fixed parameters and a batch of generated images, for whole steps without an optimizer.
struct Trial: Sendable {
  var architecture: Architecture
  var height = 64, width = 32
  var labels = [0, 0, 0, 1, 1, 2, 2, 1]
  var seed: UInt64 = 1
  var path = KernelPath.blas
  var threads = 1
  var loss = ReIDLoss([.init("", [CrossEntropy(), BatchHardTriplet(margin: 0.3)])])

  static func small(_ change: (inout Architecture) -> Void = { _ in }) -> Architecture {
    var architecture = Architecture(width: 0.125, embedding: 24, identities: 3)
    change(&architecture)
    return architecture
  }

  struct Result: Sendable {
    var loss = 0.0
    var embedding: [Double] = [], logits: [Double] = [], gradient: [Double] = [], statistics: [Double] = []
    var arenaBytes = 0, scratchBytes = 0
  }

  /// Coarse random patterns with some noise: images that differ by more than noise, as photographs do. All float16
  /// numbers, so that every precision starts from the same.
  var pixels: [Double] {
    var random = CounterRandom(seed: seed, position: 1, purpose: .probing)
    var values: [Double] = []
    for _ in labels {
      let coarse = (0..<4 * 2 * 3).map { _ in 1.5 * random.normal() }
      for row in 0..<height {
        for column in 0..<width {
          let cell = (row * 4 / height * 2 + column * 2 / width) * 3
          for c in 0..<3 { values.append(Double(Float16(coarse[cell + c] + 0.3 * random.normal()))) }
        }
      }
    }
    return values
  }

  /// Initialized, then biases and norms moved off their special values.
  func parameters<E: Element>(_ network: ReIDNetwork<E>, _ workers: Workers) -> Parameters<E.Accumulator> {
    let parameters = network.initialized(seed: seed, workers)
    var random = CounterRandom(seed: seed, position: 2, purpose: .probing)
    for slot in network.layout.slots where slot.kind != .convolution && slot.kind != .linear {
      for i in slot.range { parameters.values[i] += E.Accumulator(Float(0.1 * random.normal())) }
    }
    return parameters
  }

  func context<E: Element>(_: E.Type, _ communicator: any Communicator = SoloCommunicator(), rehearsal: Bool = false)
    -> Context<E>
  {
    Context(
      workers: Workers(count: threads, rehearsal: rehearsal), communicator: communicator, arena: Arena(),
      kernels: Kernels(path: path))
  }

  func images<E: Element>(_ range: Range<Int>, _ context: Context<E>) -> Tensor<E> {
    let x = context.tensor(Shape(range.count, height, width, 3))
    let size = height * width * 3
    x.fill(pixels[range.lowerBound * size..<range.upperBound * size].map { E($0) })
    return x
  }

  /// One step on this rank's images: forward, loss, backward, and the running statistics moved.
  func step<E: Element>(
    _: E.Type, images range: Range<Int>? = nil, _ communicator: any Communicator = SoloCommunicator(),
    scale: Double = 1,
    moved: [Double]? = nil, backward: Bool = true, rehearsal: Bool = false
  ) throws -> Result {
    let range = range ?? labels.indices
    let network = ReIDNetwork<E>(architecture)
    let context = context(E.self, communicator, rehearsal: rehearsal)
    let parameters = parameters(network, context.workers)
    if let moved { for i in moved.indices { parameters.values[i] += E.Accumulator(moved[i]) } }
    network.pack(parameters, training: true, context)
    let run = Run(context, parameters, .training(seed: seed, step: 1, firstRow: range.lowerBound))
    let rows = try GlobalRows(RowLabels(identities: Array(labels[range])), communicator)
    var result = Result()
    let passes = try network.forward(images(range, context), run), outputs = passes.outputs[0]
    let (value, bars) = try loss.evaluate(
      passes.values, [[[], []]], rows, scale: scale, in: context.arena, communicator)
    result.loss = value.total
    result.embedding = outputs.embedding.array.map { Double($0) }
    result.logits = outputs.logits!.array.map { Double($0) }
    if backward {
      let gradients = ParameterGradients(count: network.layout.count)
      try passes.backward(bars.map(\.values), .plain(gradients), run)
      result.gradient = gradients.values.array.map { $0 / scale }
    }
    run.updates.commit()
    result.statistics = parameters.statistics.array.map { Double($0) }
    (result.arenaBytes, result.scratchBytes) = (context.arena.peakBytes, context.workers.scratchBytes)
    return result
  }
}

func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
func norm(_ a: [Double]) -> Double { dot(a, a).squareRoot() }

/// ‖a − b‖ / ‖b‖, or infinite where the counts differ.
func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let difference = norm(zip(a, b).map { $0 - $1 })
  return difference == 0 ? 0 : difference / norm(b)
}
