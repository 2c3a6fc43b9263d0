import Foundation
import Layers
import Losses
import Tensors

/// How far a network's outputs move when its input does at random: a comparison of how networks generalize that needs no
/// labels (Forouzesh, Salehi and Thiran, "Generalization Comparison of Deep Neural Networks via Output Sensitivity", ICPR 2020).
///
///     ε_i = (1/C) Σ_c (f_c(x_i + n_i) − f_c(x_i)),    n ~ N(0, σ²) on normalized pixels
///     S = the variance of ε over the images
///
/// with C outputs f, and once a seed of the noise. A linear f has S = σ²‖w‖², w the mean of its rows.
package struct OutputSensitivity: Sendable, Equatable {
  /// S of each seed, over n images: Σ (ε_i − ε̄)²/(n − 1).
  package let values: [Double]
  package let images: Int
  /// C.
  package let outputs: Int
  /// The cross-entropy of f as logits without noise, the mean over images; nil without classes.
  package let loss: Double?

  /// S: the mean over the seeds.
  package var mean: Double { values.reduce(0, +) / Double(values.count) }

  /// The standard deviation over the seeds, of n − 1; 0 of one seed.
  package var deviation: Double { values.count > 1 ? Self.variance(values).squareRoot() : 0 }

  fileprivate static func variance(_ values: [Double]) -> Double {
    let mean = values.reduce(0, +) / Double(values.count)
    return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
  }
}

/// Measures `OutputSensitivity` of any function of images. Noise is counted by seed and image, and all sums over images are taken
/// in their order, so neither ranks nor batches change a bit of the result where they change none of the function's.
package struct OutputSensitivityProbe<E: Element> {
  package typealias A = E.Accumulator
  private let sigma: Double, seeds: Int, seed: UInt64, batch: Int
  private let context: Context<E>

  /// - Parameters:
  ///   - sigma: σ, in units of normalized pixels.
  ///   - seeds: how many draws of the noise, 1 or more; `seed` begins them.
  ///   - batch: images of one rank at once.
  package init(sigma: Double, seeds: Int, seed: UInt64, batch: Int, _ context: Context<E>) {
    precondition(seeds > 0 && batch > 0)
    (self.sigma, self.seeds, self.seed, self.batch, self.context) = (sigma, seeds, seed, batch, context)
  }

  /// Of `count` images, which ranks share.
  /// - Parameters:
  ///   - classes: of every image, from 0 on, where f are logits whose cross-entropy is wanted.
  ///   - images: the normalized images of a range of the `count`, n × height × width × 3. It may throw a `Failure`.
  ///   - f: their outputs, n × 1 × 1 × C, each image for itself; it makes no collective call.
  /// - Throws: on every rank, `Failure.usage` for fewer than two images and `Failure.data` for outputs that are not finite.
  package func measure(
    _ count: Int, classes: [Int]? = nil, images: (Range<Int>) throws -> Tensor<E>, _ f: (Tensor<E>) throws -> Tensor<A>
  ) throws -> OutputSensitivity {
    let communicator = context.communicator
    guard count >= 2 else {
      throw Failure.usage("\(count) \(count == 1 ? "image" : "images"): a variance takes two or more")
    }
    let own = Share.rows(count, communicator)
    // By image, then by seed; and the length of an output.
    var changes: [Double] = [], losses: [Double] = [], outputs = 0.0
    try communicator.agree {
      for first in stride(from: own.lowerBound, to: own.upperBound, by: batch) {
        let range = first..<min(own.upperBound, first + batch)
        let x = try images(range), y = try f(x)
        outputs = Double(y.shape.channels)
        let moved = try (0..<seeds).map { meanChanges(try f(noisy(x, range, $0)), y) }
        for image in range.indices.map({ $0 - first }) { changes += moved.map { $0[image] } }
        if let classes { losses += crossEntropies(y, classes[range]) }
        _ = context.workers.timeline.take()  // nobody asks for the spans
      }
    }
    let all = Array(try communicator.allgather(changes).joined())
    let loss = try communicator.allgather(losses).joined().reduce(0, +) / Double(count)
    var length = [outputs]
    try communicator.allreduce(&length, .max)
    try communicator.agree {
      guard all.allSatisfy(\.isFinite), loss.isFinite else {
        throw Failure.data("an output is not finite: the network is damaged, or the noise too strong")
      }
    }
    return OutputSensitivity(
      values: (0..<seeds).map { seed in OutputSensitivity.variance((0..<count).map { all[$0 * seeds + seed] }) },
      images: count, outputs: Int(length[0]), loss: classes == nil ? nil : loss)
  }

  /// x + n.
  private func noisy(_ x: Tensor<E>, _ range: Range<Int>, _ number: Int) -> Tensor<E> {
    let out = context.tensor(x.shape), count = x.shape.area * x.shape.channels
    context.workers.parallelFor(range.count) { image, _ in
      var random = CounterRandom(
        seed: seed, epoch: number, position: range.lowerBound + image, purpose: .probing)
      for i in image * count..<(image + 1) * count {
        out.pointer[i] = E(Double(x.pointer[i]) + sigma * random.normal())
      }
    }
    return out
  }

  /// ε of each image.
  private func meanChanges(_ moved: Tensor<A>, _ y: Tensor<A>) -> [Double] {
    let length = y.shape.channels
    return (0..<y.shape.images).map { image in
      let row = image * length..<(image + 1) * length
      return row.reduce(0) { $0 + (Double(moved.pointer[$1]) - Double(y.pointer[$1])) } / Double(length)
    }
  }

  /// −ln softmax(z)_class of each image.
  private func crossEntropies(_ logits: Tensor<A>, _ classes: ArraySlice<Int>) -> [Double] {
    let length = logits.shape.channels
    return zip(0..., classes).map { image, label in
      let softmax = Softmax(ArraySlice((image * length..<(image + 1) * length).map { Double(logits.pointer[$0]) }))
      return softmax.logSum - softmax.logit(label)
    }
  }
}
