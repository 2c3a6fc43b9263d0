import Foundation
import Tensors

/// The dual-attention guided dropout of DGDM (Yin et al., "Dual-Attention Guided Dropblock Module for Weakly Supervised Object
/// Localization", ICPR 2020; the published code contradicts itself, so the numbers are those of systems it builds on), a layer
/// of training alone, for each image by itself:
///
///     x₁ = c∘x         channels: the ⌈C/2⌉ of the largest means stay, each other one is 0 with probability `channelRate`
///     A = the mean of x₁ over channels
///     y = m∘x₁         with probability `erasing`: m is 0 where the 3×3 pixels around have one with A > `threshold`·max A
///     y = σ(A)∘x₁      otherwise
///
///     ẏ = m∘ẋ₁, or σ∘ẋ₁ + σ'Ȧ∘x₁        x̄₁ = m∘ȳ, or σ∘ȳ + (σ'/C)·Σ_c ȳ∘x₁        x̄ = c∘x̄₁
///
/// c and m are constants of a step. The gradient of a pixel is written over a `RealNumber`, and dual numbers make it its own
/// tangent. What is drawn is counted as in `RandomMask`: of an image first the erasing, then the channels that may go, in
/// their order. Of equal means the lower channel stays.
///
/// x, y: n×h×w×c, x as it is read. Precision: a pixel in float64, rounded to an accumulator and stored. Collectives: none.
package final class AttentionDropout<E: Element>: Layer {
  private let options: AttentionDropoutOptions, stream: Int

  /// `stream` tells the layers of a network apart.
  package init(_ options: AttentionDropoutOptions, stream: Int) { (self.options, self.stream) = (options, stream) }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    x
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    guard case .training(let seed, let step, let firstRow) = run.mode else {
      return IdentityPasses(y: x)
    }
    let shape = x.shape, factors = Buffer<E.Accumulator>(count: shape.images * shape.channels)
    /// 1 and 0: m; −1: the gate.
    let modes = run.context.tensor(shape.with(channels: 1))
    if !run.context.workers.isRehearsal {
      let pixels = x.value.materialized(run.context)
      for image in 0..<shape.images {
        var random = CounterRandom(
          seed: seed ^ UInt64(stream) << 32, epoch: step, position: firstRow + image, purpose: .masking)
        let values = (0..<shape.area * shape.channels).map {
          Double(pixels.pointer[image * shape.area * shape.channels + $0])
        }
        let erases = random.uniform() < options.erasing
        let kept = channels(values, shape, &random)
        for (channel, isKept) in kept.enumerated() {
          factors[image * shape.channels + channel] = isKept ? 1 : 0
        }
        let mode =
          erases ? erased(values, kept, shape).map { $0 ? 0.0 : 1 } : [Double](repeating: -1, count: shape.area)
        for (pixel, value) in mode.enumerated() { modes.pointer[image * shape.area + pixel] = E(value) }
      }
    }
    return AttentionDropoutPasses(x, factors, modes, run)
  }

  /// Which channels of an image stay.
  private func channels(_ values: [Double], _ shape: Shape, _ random: inout CounterRandom) -> [Bool] {
    let channels = shape.channels
    var means = [Double](repeating: 0, count: channels)
    for (i, value) in values.enumerated() { means[i % channels] += value }
    let order = means.indices.sorted { means[$0] != means[$1] ? means[$0] > means[$1] : $0 < $1 }
    var kept = [Bool](repeating: false, count: channels)
    for channel in order.prefix((channels + 1) / 2) { kept[channel] = true }
    for channel in kept.indices where !kept[channel] { kept[channel] = random.uniform() >= options.channelRate }
    return kept
  }

  /// Which pixels of an image are erased.
  private func erased(_ values: [Double], _ kept: [Bool], _ shape: Shape) -> [Bool] {
    let attention = (0..<shape.area).map { pixel in
      kept.indices.reduce(0) { kept[$1] ? $0 + values[pixel * shape.channels + $1] : $0 } / Double(shape.channels)
    }
    let limit = options.threshold * attention.reduce(-.infinity, max)
    return (0..<shape.area).map { pixel in
      let (row, column) = (pixel / shape.width, pixel % shape.width)
      for r in max(0, row - 1)...min(shape.height - 1, row + 1) {
        for c in max(0, column - 1)...min(shape.width - 1, column + 1)
        where attention[r * shape.width + c] > limit { return true }
      }
      return false
    }
  }
}

private final class AttentionDropoutPasses<E: Element>: Passes {
  let y: Feature<E>
  private let x: Feature<E>, factors: Buffer<E.Accumulator>, modes: Tensor<E>
  private var recorded: Tensor<E>?
  private var tangent: (x: Operand<E>, y: Tensor<E>)?

  init(_ x: Feature<E>, _ factors: Buffer<E.Accumulator>, _ modes: Tensor<E>, _ run: Run<E>) {
    (self.x, self.factors, self.modes) = (x, factors, modes)
    let channels = x.shape.channels
    y = .plain(
      OperandLines([x.value.scaled(byImage: factors), .plain(modes)], run.context).store(x.shape, run.context) {
        line, y in
        for pixel in 0..<line.count / channels {
          let at = line[0] + pixel * channels, mode = line[1][pixel]
          let factor = mode < 0 ? Pixel.mean(at, channels).sigmoid() : mode
          for i in 0..<channels { y[pixel * channels + i] = factor * at[i] }
        }
      })
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let channels = x.shape.channels
    let operands = [x.value.scaled(byImage: factors), .plain(modes), xDot.scaled(byImage: factors)]
    let yDot = OperandLines(operands, run.context).store(x.shape, adding: v, run.context) { line, yDot in
      for pixel in 0..<line.count / channels {
        let start = pixel * channels, mode = line[1][pixel]
        let s = Pixel.mean(line[0] + start, channels).sigmoid(), slope = s * (1 - s)
        let aDot = Pixel.mean(line[2] + start, channels)
        for i in start..<start + channels {
          yDot[i] = mode < 0 ? s * line[2][i] + slope * aDot * line[0][i] : mode * line[2][i]
        }
      }
    }
    tangent = (xDot, yDot)
    return .plain(yDot)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    let channels = x.shape.channels, weight = pass.tangentWeight
    var operands = [x.value.scaled(byImage: factors), .plain(modes), .plain(yBar.tensor)]
    if case .regularized = pass, let recorded, let tangent {
      operands += [tangent.x.scaled(byImage: factors), .plain(recorded)]
    } else if pass.gradients == nil {
      recorded = yBar.tensor
    }
    let isRegularized = operands.count > 3
    let bar = OperandLines(operands, run.context).store(x.shape, run.context) { line, bar in
      for pixel in 0..<line.count / channels {
        let pixels = pixel * channels..<(pixel + 1) * channels, mode = line[1][pixel]
        guard mode < 0 else {
          for i in pixels { bar[i] = mode * line[2][i] }
          continue
        }
        if isRegularized {
          // At (x, λẋ) and (ȳ, h − ȳ): value and derivative together.
          let found = Pixel.bars(
            pixels.map { Dual(line[0][$0], weight * line[3][$0]) },
            pixels.map { Dual(line[4][$0], line[2][$0] - line[4][$0]) })
          for (i, dual) in zip(pixels, found) { bar[i] = dual.value + dual.tangent }
        } else {
          for (i, value) in zip(pixels, Pixel.bars(pixels.map { line[0][$0] }, pixels.map { line[2][$0] })) {
            bar[i] = value
          }
        }
      }
    }
    let masked = Operand.plain(bar).scaled(byImage: factors)
    return target.finish(Addition.forward(masked, addend, run.context), run.context)
  }

  var storedTangents: [Tensor<E>] { [tangent?.y].compactMap { $0 } }
}

/// A pixel that its own mean gates.
private enum Pixel {
  static func mean(_ values: UnsafePointer<Double>, _ channels: Int) -> Double {
    var sum = 0.0
    for i in 0..<channels { sum += values[i] }
    return sum / Double(channels)
  }

  /// σ·ȳ + (σ'/C)·Σ ȳ∘x
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  static func bars<S: RealNumber>(_ x: [S], _ yBar: [S]) -> [S] {
    let inverse = S(1 / Double(x.count)), s = (x.reduce(S(0), +) * inverse).sigmoid()
    var along = S(0)
    for (x, bar) in zip(x, yBar) { along += x * bar }
    let shared = s * (S(1) - s) * along * inverse
    return yBar.map { s * $0 + shared }
  }
}

/// Of `AttentionDropout`.
package struct AttentionDropoutOptions: Options {
  package var channelRate = 0.25
  package var erasing = 0.1
  package var threshold = 0.75

  package init() {}

  /// Whether no channel and no pixel can go, and none is gated: nothing is above all of the largest attention.
  package var leavesAll: Bool { channelRate == 0 && erasing == 1 && threshold == 1 }

  package static var fields: [OptionField<Self>] {
    [
      .number(
        "channelRate", \.channelRate, 0...1, "The probability with which a channel of the lower half goes."),
      .number(
        "erasing", \.erasing, 0...1, "The probability that an image's strongest pixels go; otherwise pixels are gated."),
      .number("threshold", \.threshold, 0...1, "The share of the largest attention above which a pixel is strong."),
    ]
  }
}
