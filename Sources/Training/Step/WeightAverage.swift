import Kernels
import Layers
import Network
import Tensors

/// An exponential moving average of the parameters and running statistics, ã ← ã + (1 − δ_t)(a − ã) after update t, which
/// generalizes better than where training happens to stand (Polyak and Juditsky, 1992; Tarvainen and Valpola, 2017).
///
/// δ_t = min(δ, (1 + t)/(10 + t)), so that the start is soon forgotten. It is what is evaluated and retrieved by.
package final class WeightAverage<A: Element> where A.Accumulator == A {
  package let parameters: Parameters<A>
  /// t, the updates averaged so far.
  package var updates = 0
  private let decay: Double

  /// From where `parameters` stand; nil where `average.decay` is 0.
  package init?(_ layout: ParameterLayout, _ statistics: ParameterLayout, _ configuration: Configuration) {
    guard configuration.average.decay > 0 else { return nil }
    decay = configuration.average.decay
    parameters = Parameters(layout: layout, statistics: statistics)
  }

  /// Begins at `current`.
  package func reset(to current: Parameters<A>) {
    parameters.values.copy(from: current.values)
    parameters.statistics.copy(from: current.statistics)
    updates = 0
  }

  package func update(from current: Parameters<A>, _ context: Context<A>) {
    updates += 1
    let t = Double(updates), share = 1 - min(decay, (1 + t) / (10 + t))
    let kernels = context.kernels, piece = 1 << 16
    for (new, old) in [(current.values, parameters.values), (current.statistics, parameters.statistics)] {
      context.workers.parallelFor((new.count + piece - 1) / piece) { index, _ in
        let first = index * piece
        kernels.average(new.pointer + first, min(piece, new.count - first), share: share, into: old.pointer + first)
      }
    }
  }
}
