import Foundation
import Kernels
import Layers
import Tensors

/// Adam (Kingma and Ba, 2015) over the flat buffers, one pass over memory:
///
///     m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  w ← w − η · m̂ / (√v̂ + ε)
///     m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)
///
/// with weight decay as L2 (g + λw, PyTorch's `Adam`) or decoupled (w ← (1 − ηλ)w first, `AdamW`). Every rank applies
/// the same update to the same reduced gradients.
package final class Adam<A: Element> where A.Accumulator == A {
  package let m: Buffer<A>, v: Buffer<A>
  /// t, the updates made so far.
  package var steps = 0
  private let configuration: Configuration.Optimizer
  private let weightDecay: Double
  /// What weight decay leaves alone, ascending.
  private let undecayed: [Range<Int>]

  /// `decays`: whether the weight decay of the configuration applies; `undecayed`: what it leaves alone.
  package init(
    count: Int, _ configuration: Configuration.Optimizer, decays: Bool = true, undecayed: [Range<Int>] = []
  ) {
    self.undecayed = undecayed
    m = Buffer(count: count)
    v = Buffer(count: count)
    self.configuration = configuration
    weightDecay = decays ? configuration.weightDecay : 0
  }

  /// One update of `values` from `gradients` · `gradientScale`.
  package func update(
    _ values: Buffer<A>, _ gradients: ParameterGradients, gradientScale: Double, learningRate: Double,
    _ context: Context<A>
  ) {
    steps += 1
    let c = configuration, t = Double(steps)
    let rate = learningRate / (1 - pow(c.beta1, t)), root = 1 / (1 - pow(c.beta2, t)).squareRoot()
    let decay = c.decay == .l2 ? weightDecay : 0, shrink = c.decay == .decoupled ? learningRate * weightDecay : 0
    let kernels = context.kernels, piece = 1 << 16
    /// The update of a range, which is elementwise: cutting it changes no bit.
    func update(_ range: Range<Int>, _ decay: Double, _ shrink: Double) {
      let update = AdamUpdate(
        scale: gradientScale, decay: decay, shrink: shrink, beta1: c.beta1, beta2: c.beta2, rate: rate, root: root,
        epsilon: c.epsilon)
      context.workers.parallelFor((range.count + piece - 1) / piece) { index, _ in
        let first = range.lowerBound + index * piece, count = min(piece, range.upperBound - first)
        kernels.adam(
          values.pointer + first, gradients.values.pointer + first, m: self.m.pointer + first,
          v: self.v.pointer + first, count, update)
      }
    }
    var next = 0
    for range in undecayed {
      update(next..<range.lowerBound, decay, shrink)
      update(range, 0, 0)
      next = range.upperBound
    }
    update(next..<values.count, decay, shrink)
  }
}
