import Collectives
import Dataset
import Foundation
import Layers
import Losses
import Network
import Tensors

/// How a network answers small changes δ of a feature f_s, ‖δ_i‖ = ε‖f_{s,i}‖ for every image i: along the gradient of the
/// loss, whose length is what MSGR penalizes, and in a random direction. Batch statistics, as in training.
package struct Robustness: Sendable {
  /// One place and size, means over images.
  package struct Row: Sendable {
    /// 0: the input; 1…4: stages.
    package let place: Int
    /// ε.
    package let size: Double
    /// By how much the loss grows.
    package let lossAlong: Double, lossRandom: Double
    /// ‖Δe‖/‖e‖ of the embeddings.
    package let embeddingAlong: Double, embeddingRandom: Double
  }

  /// L and, by place, R_s = Σ_i ‖∂L/∂f_{s,i}‖₂ of a batch; means over batches.
  package let loss: Double
  package let gradientNorms: [(place: Int, value: Double)]
  package let rows: [Row]
}

/// Measures `Robustness` on training batches without augmentation. Storage has to be wider than float16, in which small
/// changes drown.
package struct RobustnessProbe<E: Element> {
  package typealias A = E.Accumulator
  private let network: ReIDNetwork<E>
  private let parameters: Parameters<A>
  private let configuration: Configuration
  private let context: Context<E>
  private let loss: ReIDLoss
  private let places: [Int], sizes: [Double]

  package init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<A>, places: [Int], sizes: [Double],
    _ configuration: Configuration, _ context: Context<E>
  ) {
    (self.network, self.parameters, self.configuration, self.context) = (network, parameters, configuration, context)
    (self.places, self.sizes) = (places.sorted(), sizes)
    loss = ReIDLoss(configuration)
    precondition(E.precision != .float16)
    network.pack(parameters, training: true, inputGradient: true, context)
  }

  /// The mean over the first `batches` batches of the sampler. `classes` by identity.
  package func run(_ training: [Sample], classes: [Int: Int], batches: Int) throws -> Robustness {
    let communicator = context.communicator, sampling = configuration.sampling
    let sampler = try communicator.agree {
      try IdentitySampler(
        samples: training, identities: sampling.identities, images: sampling.images, scheme: sampling.scheme,
        seed: configuration.seed)
    }
    let transforms = Transforms(configuration)
    var total: [Double] = []
    let count = min(batches, sampler.batchesPerEpoch)
    for index in 0..<count {
      let batch = sampler.batch(epoch: 0, index: index), own = Share.batch(batch.count, communicator)
      let samples = batch[own].map { training[$0] }
      let pixels = try communicator.agree {
        try transforms.evaluation(of: samples)
      }
      let numbers = try measure(
        pixels, labels: samples.map { classes[$0.identity]! }, batch: index, firstRow: own.lowerBound)
      total = total.isEmpty ? numbers : zip(total, numbers).map(+)
    }
    total = total.map { $0 / Double(count) }
    try communicator.agree {
      guard total.allSatisfy(\.isFinite) else {
        throw Failure.data("a loss or an embedding is not finite: the network is damaged, or a perturbation too large")
      }
    }
    var rows: [Robustness.Row] = [], next = 1 + places.count
    for place in places {
      for size in sizes {
        rows.append(
          .init(
            place: place, size: size, lossAlong: total[next], lossRandom: total[next + 2],
            embeddingAlong: total[next + 1], embeddingRandom: total[next + 3]))
        next += 4
      }
    }
    return Robustness(
      loss: total[0], gradientNorms: zip(places, total[1...]).map { ($0, $1) }, rows: rows)
  }

  /// Of one batch: L, R_s by place, and for each place and size the changes of loss and embedding along the gradient and
  /// at random.
  private func measure(_ pixels: [UInt8], labels: [Int], batch: Int, firstRow: Int) throws -> [Double] {
    let images: Tensor<E> = InputNormalization.forward(
      pixels, height: configuration.input.height, width: configuration.input.width, context)
    let run = Run(context, parameters, .training(seed: configuration.seed, step: batch, firstRow: firstRow))
    let passes = try network.forward(images, run)
    let embedding = passes.outputs[0].embedding
    let rows = try GlobalRows(RowLabels(identities: labels), context.communicator)
    let (value, bars) = try evaluate(passes, rows)
    let gradients = try passes.backward(bars.map(\.values), .recording(places: places), run)
    var norms: [Double] = [], changes: [Double] = []
    for place in places {
      let feature = place == 0 ? images : passes.feature(place), g = gradients[place]!
      norms.append(
        try GradientRegularizer(norm: .two, places: [place]).measure([place: g], scale: 1, context).value)
      let directions = [g, random(feature.shape, batch: batch, firstRow: firstRow)]
      for size in sizes {
        for direction in directions {
          let perturbation = scaled(direction, to: feature, by: size)
          let moved = try network.forward(images, adding: [place: perturbation], run)
          changes.append(try evaluate(moved, rows).value.total - value.total)
          changes.append(try relativeChange(moved.outputs[0].embedding, embedding, rows: value.rows))
        }
      }
    }
    return [value.total] + norms + changes
  }

  private func evaluate(_ passes: NetworkPasses<E>, _ rows: GlobalRows) throws -> (
    value: ReIDLoss.Value, gradients: [ReIDLoss.Gradients<A>]
  ) {
    try loss.evaluate(
      passes.values, network.lossParameters(parameters), rows, scale: 1, in: context.arena, context.communicator)
  }

  /// Each image's direction at the length ε‖f_i‖.
  private func scaled(_ direction: Tensor<E>, to feature: Tensor<E>, by size: Double) -> Tensor<E> {
    let out = context.tensor(feature.shape), count = feature.shape.area * feature.shape.channels
    let kernels = context.kernels
    func norm(_ x: UnsafeMutablePointer<E>) -> Double { kernels.magnitudes(x, count).squares.squareRoot() }
    context.workers.parallelFor(feature.shape.images) { image, _ in
      let at = image * count, length = norm(direction.pointer + at)
      let factor = length == 0 ? 0 : size * norm(feature.pointer + at) / length
      kernels.scale(direction.pointer + at, count, by: factor, into: out.pointer + at)
    }
    return out
  }

  /// Normal numbers that depend on the image's row in the global batch, not on the rank.
  private func random(_ shape: Shape, batch: Int, firstRow: Int) -> Tensor<E> {
    let tensor = context.tensor(shape), count = shape.area * shape.channels
    context.workers.parallelFor(shape.images) { image, _ in
      var random = CounterRandom(
        seed: configuration.seed, epoch: batch, position: firstRow + image, purpose: .probing)
      for i in image * count..<(image + 1) * count { tensor.pointer[i] = E(Float(random.normal())) }
    }
    return tensor
  }

  /// The mean over all ranks' rows of ‖a − b‖/‖b‖.
  private func relativeChange(_ a: Tensor<A>, _ b: Tensor<A>, rows: Int) throws -> Double {
    let length = a.shape.channels
    var sum = [0.0]
    for row in 0..<a.shape.images {
      var difference = 0.0, size = 0.0
      for i in row * length..<(row + 1) * length {
        let x = Double(a.pointer[i]), y = Double(b.pointer[i])
        difference += (x - y) * (x - y)
        size += y * y
      }
      sum[0] += size > 0 ? (difference / size).squareRoot() : 0
    }
    try context.communicator.allreduce(&sum, .sum)
    return sum[0] / Double(rows)
  }
}
