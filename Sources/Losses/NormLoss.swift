import Layers
import Tensors

/// Norm loss ("Norm Loss: An efficient yet effective regularization method for deep neural networks", ICPR 2020): a penalty
/// that draws the weights of every output filter o to length 1, in place of weight decay, which draws them to 0:
///
///     P = λ Σ_tensors Σ_o (1 − ‖w_o‖)²,  w̄_o += 2λ(1 − 1/‖w_o‖)·w_o             0 where w_o = 0
///
/// w_o are all weights into output o of a convolution or linear layer. It joins the loss after the gradients of all ranks have been
/// summed, on every rank alike, so that it counts once. Precision: float64. Collectives: none.
package struct NormLoss: Sendable {
  private let lambda: Double
  private let tensors: [ParameterLayout.Slot]

  /// nil where `lambda` is 0.
  package init?(_ network: ParameterLayout, lambda: Double) {
    guard lambda > 0 else { return nil }
    self.lambda = lambda
    tensors = network.slots.filter { $0.kind == .convolution || $0.kind == .linear }
  }

  /// P, and `scale` times its gradients added to `total` (by the network's layout).
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  package func differentiate<A: Element>(
    _ weights: Buffer<A>, scale: Double, into total: ParameterGradients, _ workers: Workers
  ) -> Double {
    let parts = Buffer<Double>(count: tensors.count)
    workers.parallelFor(tensors.count) { index, _ in
      let slot = tensors[index], lengths = Self.lengths(slot, weights), filters = lengths.count
      parts[index] = lengths.reduce(0) { $0 + (1 - $1) * (1 - $1) }
      // A filter of 0 stays: it has no direction.
      let factors = lengths.map { $0 == 0 ? 0 : scale * 2 * lambda * (1 - 1 / $0) }
      for i in 0..<slot.count {
        let at = slot.range.lowerBound + i
        total.values[at] += factors[i % filters] * Double(weights[at])
      }
    }
    return lambda * parts.span.reduce(0, +)
  }

  /// ‖w_o‖ of every filter: in memory an element of all of them stands side by side.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private static func lengths<A: Element>(_ slot: ParameterLayout.Slot, _ weights: Buffer<A>) -> [Double] {
    var squares = [Double](repeating: 0, count: slot.shape[0])
    for i in 0..<slot.count {
      let value = Double(weights[slot.range.lowerBound + i])
      squares[i % squares.count] += value * value
    }
    return squares.map { $0.squareRoot() }
  }

  /// The mean of |1 − ‖w_o‖| over all filters: what a run brings down.
  package func distance<A: Element>(_ weights: Buffer<A>) -> Double {
    let lengths = tensors.flatMap { Self.lengths($0, weights) }
    return lengths.reduce(0) { $0 + abs(1 - $1) } / Double(max(1, lengths.count))
  }
}
