import Foundation
import Tensors

/// What a random mask leaves out.
package enum MaskKind: Sendable, Equatable {
  /// A band of rows, `height` of them all, rounded to whole ones.
  case stripe(height: Double)
  /// Channels of an image, each with the probability r = `rate`.
  case channels(rate: Double)
  /// Of an image, `height` of its rows, rounded to whole ones: those whose strongest pixels are strongest.
  case topRows(height: Double)
}

/// A random linear map of a training step: pixels of a map times 0 or a constant.
///
///     y = M∘x        ẏ = M∘ẋ        x̄ = M∘ȳ        x̄˙ = M∘ȳ˙
///
/// | kind | M |
/// |---|---|
/// | `stripe` | 0 on one band of rows, the same for the whole batch, else 1 (BatchDropBlock: Dai et al., 2019) |
/// | `channels` | 0 on each channel of each image with probability r, else 1/(1 − r) (Tompson et al., 2015) |
/// | `topRows` | 0 on the rows of an image whose largest Σ_c x² is largest, of equal ones the lower row, else 1 (Top DropBlock of Top-DB-Net: Quispe and Pedrini, ICPR 2020); nothing is drawn, and M is a constant of the step |
///
/// M is counted, not drawn from a generator: its bits follow from the seed, the step, the layer's stream and, where images
/// differ, the position of the image in the global batch. So ranks do not change it, a resumed run draws it again, and all
/// passes of a step have the same one. In evaluation y is x, and nothing is computed.
///
/// x, y: n×h×w×c, x as it is read, y stored. Precision: one product in the accumulator, rounded once. Collectives: none.
package final class RandomMask<E: Element>: Layer {
  package let kind: MaskKind
  private let stream: Int

  /// `stream` tells the masks of a network apart: layers of one stream draw alike.
  package init(_ kind: MaskKind, stream: Int) {
    switch kind {
    case .stripe(let height), .topRows(let height): precondition(0 <= height && height <= 1)
    case .channels(let rate): precondition(0 <= rate && rate < 1)
    }
    (self.kind, self.stream) = (kind, stream)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    x
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    guard case .training(let seed, let step, let firstRow) = run.mode else { return IdentityPasses(y: x) }
    /// The position −1 is the batch's own.
    func random(_ position: Int) -> CounterRandom {
      CounterRandom(
        seed: seed ^ UInt64(stream) << 32, epoch: step, position: position, purpose: .masking)
    }
    let mask: Mask<E>
    switch kind {
    case .stripe(let height):
      let count = Int((height * Double(x.shape.height)).rounded())
      var random = random(-1)
      let first = random.integer(below: x.shape.height - count + 1)
      mask = Mask(
        erased: Set(
          (0..<x.shape.images).flatMap { image in
            (first..<first + count).map { image * x.shape.height + $0 }
          }))
    case .channels(let rate):
      let channels = x.shape.channels, factors = Buffer<E.Accumulator>(count: x.shape.images * channels)
      let kept = E.Accumulator(1 / (1 - rate))
      for image in 0..<x.shape.images {
        var random = random(firstRow + image)
        for channel in 0..<channels where random.uniform() >= rate { factors[image * channels + channel] = kept }
      }
      mask = Mask(factors: factors)
    case .topRows(let height):
      mask = Mask(erased: Self.topRows(x.value, count: Int((height * Double(x.shape.height)).rounded()), run.context))
    }
    return MaskPasses(y: .plain(mask.applied(to: x.value, run.context).tensor), mask)
  }

  /// The strongest lines of each image, counted over all images.
  private static func topRows(_ x: Operand<E>, count: Int, _ context: Context<E>) -> Set<Int> {
    guard !context.workers.isRehearsal else { return [] }
    let shape = x.shape, view = x.view(.exact), kernels = context.kernels
    let strengths = Buffer<Double>(count: shape.images * shape.height)
    context.workers.parallelFor(strengths.count) { line, _ in
      withUnsafeTemporaryAllocation(of: E.Accumulator.self, capacity: shape.width * shape.channels) { pixels in
        kernels.read(
          view, image: line / shape.height, pixel: line * shape.width, shape.width, channels: shape.channels,
          into: pixels.baseAddress!)
        for column in 0..<shape.width {
          let square = pixels[column * shape.channels..<(column + 1) * shape.channels].reduce(0.0) {
            $0 + Double($1) * Double($1)
          }
          // A NaN is strongest: it is no reason to look elsewhere.
          strengths[line] = square.isNaN ? .infinity : max(strengths[line], square)
        }
      }
    }
    withExtendedLifetime(x) {}
    return Set(
      (0..<shape.images).flatMap { image in
        let lines = image * shape.height..<(image + 1) * shape.height
        return lines.sorted {
          strengths[$0] != strengths[$1] ? strengths[$0] > strengths[$1] : $0 < $1
        }.prefix(count)
      })
  }
}

private struct Mask<E: Element> {
  /// Of every image and channel; nil: 1.
  var factors: Buffer<E.Accumulator>?
  /// Lines that are 0, counted over all images.
  var erased: Set<Int> = []

  /// M∘x + `addend`, finished by `target`.
  func applied(
    to x: Operand<E>, adding addend: Tensor<E>? = nil, target: GradientTarget<E> = .plain, _ context: Context<E>
  ) -> Gradient<E> {
    let shape = x.shape, masked = factors.map { x.scaled(byImage: $0) } ?? x
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.addend = addend
    epilogue.target = target
    let view = masked.view(.exact), kernels = context.kernels
    let rowBytes = shape.channels * MemoryLayout<E.Accumulator>.size
    context.workers.work.move(.activations, x.bytes)
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      guard !erased.contains(line) else {
        memset(rows, 0, rowBytes)
        return 0
      }
      kernels.read(
        view, image: line / shape.height, pixel: line * shape.width, shape.width, channels: shape.channels, into: rows)
      return shape.channels
    }
    withExtendedLifetime(masked) {}
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}

private final class MaskPasses<E: Element>: Passes {
  let y: Feature<E>
  private let mask: Mask<E>
  private(set) var storedTangents: [Tensor<E>] = []

  init(y: Feature<E>, _ mask: Mask<E>) { (self.y, self.mask) = (y, mask) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let yDot = mask.applied(to: xDot, adding: v, run.context).tensor
    storedTangents = [yDot]
    return .plain(yDot)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    mask.applied(to: .plain(yBar.tensor), adding: addend, target: target, run.context)
  }
}
