import Layers
import Tensors

/// AdaptiveReID (Ni, Fang and Huttunen, 2020): an L2 penalty whose strength is trained, for each tensor w_i on its own:
///
///     P = Σ_i λ_i ‖w_i‖²,  λ_i = A · h(r_i),  h(r) = min(1, max(0, r/(2c) + ½))
///     w̄_i += 2 λ_i w_i,  r̄_i = A·h'(r_i)·‖w_i‖²        h' = 1/(2c) where |r| < c, else 0
///
/// The term joins the loss after the gradients of all ranks have been summed, on every rank alike, so that it counts once.
/// With r held at its start the penalty is an ordinary constant one (weight decay of 2 λ, in the sense of Adam's L2).
///
/// Precision: norms in float64, r as the parameters. Collectives: none.
package final class AdaptiveL2<A: Element> where A.Accumulator == A {
  /// c: where the hard sigmoid saturates.
  package static var saturation: Double { 2.5 }

  /// One number for each regularized tensor: `adaptiveL2.<tensor>`.
  package let layout: ParameterLayout
  /// r by the layout.
  package let values: Buffer<A>
  /// r̄ by the layout.
  package let gradients: ParameterGradients
  private let amplitude: Double
  private let tensors: [(tensor: ParameterLayout.Slot, strength: ParameterLayout.Slot)]

  /// A penalty on the tensors of `network` that are of these kinds, all with r = `initial`.
  package init(_ network: ParameterLayout, kinds: Set<ParameterLayout.Kind>, amplitude: Double, initial: Double) {
    var layout = ParameterLayout()
    tensors = network.slots.filter { kinds.contains($0.kind) }.map { slot in
      (slot, layout.add("adaptiveL2." + slot.name, .strength, shape: [1]))
    }
    self.layout = layout
    self.amplitude = amplitude
    values = Buffer(count: layout.count)
    gradients = ParameterGradients(count: layout.count)
    for (_, strength) in tensors { values[strength.range.lowerBound] = A(initial) }
  }

  /// λ of each tensor, by the tensor's name, in the order of the network.
  package var strengths: [(name: String, strength: Double)] {
    tensors.map { ($0.tensor.name, strength(of: $0.strength)) }
  }

  private func strength(of slot: ParameterLayout.Slot) -> Double {
    amplitude * min(1, max(0, Double(values[slot.range.lowerBound]) / (2 * Self.saturation) + 0.5))
  }

  /// P, and `scale` times its gradients: w̄ added to `total` (by the network's layout), r̄ left in `gradients`.
  package func differentiate(
    _ weights: Buffer<A>, scale: Double, into total: ParameterGradients, _ workers: Workers
  ) -> Double {
    guard !workers.isRehearsal else { return 0 }
    let squares = Buffer<Double>(count: tensors.count)
    workers.parallelFor(tensors.count) { index, _ in
      let (tensor, strength) = self.tensors[index], factor = scale * 2 * self.strength(of: strength)
      var sum = 0.0
      for i in tensor.range {
        let w = Double(weights[i])
        sum += w * w
        total.values[i] += factor * w
      }
      squares[index] = sum
    }
    var penalty = 0.0
    for (index, (_, slot)) in tensors.enumerated() {
      let r = Double(values[slot.range.lowerBound])
      let slope = abs(r) < Self.saturation ? amplitude / (2 * Self.saturation) : 0
      gradients.values[slot.range.lowerBound] = scale * slope * squares[index]
      penalty += strength(of: slot) * squares[index]
    }
    return penalty
  }
}
