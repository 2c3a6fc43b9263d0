import Foundation
import Kernels
import Layers
import Tensors

/// Moves parameters by their gradients, over the flat buffers, one pass over memory:
///
///     Adam     m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  w ← w − η · m̂ / (√v̂ + ε)
///              m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)                                   (Kingma and Ba, 2015)
///     AMSGrad  the same with max over all steps of v in v's place                   (Reddi et al., 2018)
///     SGD      m ← μm + g,  w ← w − η m  or  w ← w − η (g + μm)                     (momentum; Nesterov)
///
/// with weight decay as L2 (g + λw, PyTorch's `Adam` and `SGD`) or decoupled (w ← (1 − ηλ)w first, `AdamW`), and η and λ of
/// each group of tensors. Every rank applies the same update to the same reduced gradients, or each to its shards.
package final class Optimizer<A: Element> where A.Accumulator == A {
  /// Which parameters it moves.
  package let shards: ParameterShards
  /// What it keeps of past gradients of these, by the prefix of the tensors' names in files.
  package let moments: [(prefix: String, values: Buffer<A>)]
  /// t, the updates made so far.
  package var steps = 0
  /// How many of them left the trunk as it was: its t is that much less.
  package var frozenSteps = 0
  private let configuration: Configuration.Optimization
  private let groups: [ParameterGroup]

  /// `groups` cover the parameters in ascending order; without `shards` it moves all of them.
  package init(
    _ groups: [ParameterGroup], _ configuration: Configuration.Optimization, shards: ParameterShards? = nil
  ) {
    (self.groups, self.configuration) = (groups, configuration)
    let shards = shards ?? ParameterShards([0..<(groups.last?.range.upperBound ?? 0)])
    self.shards = shards
    moments = configuration.kind.moments.map { ($0, Buffer(count: shards.count)) }
  }

  /// One update of `values` from `gradients` · `gradientScale`; with `freezesTrunk` of all but the trunk.
  package func update(
    _ values: Buffer<A>, _ gradients: ParameterGradients, gradientScale: Double, learningRate: Double,
    freezesTrunk: Bool = false, _ context: Context<A>
  ) {
    steps += 1
    if freezesTrunk { frozenSteps += 1 }
    let piece = 1 << 16
    for group in groups where !(freezesTrunk && group.isTrunk) {
      let update = update(group, gradientScale: gradientScale, learningRate: learningRate, context.kernels)
      // It is elementwise: cutting it changes no bit.
      for (range, moments) in shards.parts(of: group.range) {
        context.workers.parallelFor((range.count + piece - 1) / piece) { index, _ in
          let first = range.lowerBound + index * piece
          update(
            values.pointer + first, gradients.values.pointer + first, moments + index * piece,
            min(piece, range.upperBound - first))
        }
      }
    }
  }

  private typealias Update = (UnsafeMutablePointer<A>, UnsafePointer<Double>, _ moments: Int, _ count: Int) -> Void

  /// How a part of `group` is updated.
  private func update(
    _ group: ParameterGroup, gradientScale: Double, learningRate: Double, _ kernels: Kernels<A>
  ) -> Update {
    let c = configuration, rate = learningRate * group.rateFactor, strength = c.weightDecay * group.decayFactor
    let decay = Decay(
      scale: gradientScale, l2: c.decay == .l2 ? strength : 0, shrink: c.decay == .decoupled ? rate * strength : 0)
    let t = Double(group.isTrunk ? steps - frozenSteps : steps)
    let adam = AdamUpdate(
      decay, beta1: c.beta1, beta2: c.beta2, rate: rate / (1 - pow(c.beta1, t)),
      root: 1 / (1 - pow(c.beta2, t)).squareRoot(), epsilon: c.epsilon)
    let moments = moments.map(\.values.pointer)
    switch c.kind {
    case .adam:
      return { kernels.adam($0, $1, m: moments[0] + $2, v: moments[1] + $2, $3, adam) }
    case .amsgrad:
      return {
        kernels.amsgrad($0, $1, m: moments[0] + $2, v: moments[1] + $2, largest: moments[2] + $2, $3, adam)
      }
    case .sgd(let descent):
      let update = DescentUpdate(decay, momentum: descent.momentum, nesterov: descent.nesterov, rate: rate)
      return { w, g, first, count in kernels.descend(w, g, m: moments.first.map { $0 + first }, count, update) }
    }
  }
}
