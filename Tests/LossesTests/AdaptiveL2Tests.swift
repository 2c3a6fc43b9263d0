import Kernels
import Layers
import Losses
import Tensors
import Testing

@Suite struct AdaptiveL2Tests {
  private static let amplitude = 0.005
  private let workers = Workers(count: 2)

  /// A small network: one tensor of each kind, the first two twice.
  private var network: ParameterLayout {
    var layout = ParameterLayout()
    _ = layout.add("conv1.weight", .convolution, shape: [3, 2, 1, 1])
    _ = layout.add("bn1.weight", .normScale, shape: [3])
    _ = layout.add("bn1.bias", .normShift, shape: [3])
    _ = layout.add("conv2.weight", .convolution, shape: [5, 3, 3, 3])
    _ = layout.add("fc.weight", .linear, shape: [4, 5])
    _ = layout.add("fc.bias", .bias, shape: [4])
    return layout
  }

  private func weights<A: Element>(_: A.Type = A.self) -> Buffer<A> {
    var random = CounterRandom(seed: 1, purpose: .probing)
    return Buffer((0..<network.count).map { _ in A(random.normal()) })
  }

  private func penalty<A: Element>(
    _: A.Type, kinds: Set<ParameterLayout.Kind> = [.convolution, .linear], initial: Double = 0
  ) -> AdaptiveL2<A> where A.Accumulator == A {
    AdaptiveL2(network, kinds: kinds, amplitude: Self.amplitude, initial: initial)
  }

  private func hardSigmoid(_ r: Double) -> Double { min(1, max(0, r / 5 + 0.5)) }

  /// Σ A·h(r_i)·‖w_i‖² of the regularized tensors, by plain arithmetic.
  private func value(_ names: [String], _ weights: [Double], _ r: [Double]) -> Double {
    zip(names, r).reduce(0) { total, next in
      let squares = network[next.0]!.range.reduce(0.0) { $0 + weights[$1] * weights[$1] }
      return total + Self.amplitude * hardSigmoid(next.1) * squares
    }
  }

  @Test func theKindsChooseTheTensors() {
    #expect(
      penalty(Float.self).layout.slots.map(\.name) == [
        "adaptiveL2.conv1.weight", "adaptiveL2.conv2.weight", "adaptiveL2.fc.weight",
      ])
    let norms = penalty(Float.self, kinds: [.normScale, .normShift, .bias])
    #expect(norms.layout.slots.map(\.name) == ["adaptiveL2.bn1.weight", "adaptiveL2.bn1.bias", "adaptiveL2.fc.bias"])
    #expect(norms.strengths.map(\.name) == ["bn1.weight", "bn1.bias", "fc.bias"])
    #expect(norms.layout.slots.allSatisfy { $0.kind == .strength && $0.shape == [1] && $0.count == 1 })
    #expect(penalty(Float.self, kinds: []).layout.slots.isEmpty)
  }

  /// At r = 0 every strength is A/2; c = 2.5.
  @Test func strengthsFollowTheHardSigmoid() {
    #expect(AdaptiveL2<Float>.saturation == 2.5)
    for (r, share) in [(0, 0.5), (1, 0.7), (-1, 0.3), (2.5, 1), (-2.5, 0), (7, 1), (-7, 0)] as [(Double, Double)] {
      for (_, strength) in penalty(Double.self, initial: r).strengths {
        #expect(abs(strength - Self.amplitude * share) < 1e-17)
      }
    }
  }

  /// P, w̄ and r̄ against central differences, at another r for each tensor.
  @Test func gradientsAreTheDerivative() {
    let penalty = penalty(Double.self)
    let names = penalty.strengths.map(\.name)
    let w = weights(Double.self), r = [0.3, -1.7, 2.1]
    for (slot, value) in zip(penalty.layout.slots, r) { penalty.values[slot.range.lowerBound] = value }
    let start = (0..<network.count).map { Double($0 % 7) }
    let total = ParameterGradients(count: network.count)
    total.values.copy(from: Buffer(start))
    let scale = 8.0
    let p = penalty.differentiate(w, scale: scale, into: total, workers)
    #expect(abs(p - value(names, w.array, r)) < 1e-15, "P itself is not scaled")

    let regularized = Set(names.flatMap { Array(network[$0]!.range) })
    for i in 0..<network.count {
      var (up, down) = (w.array, w.array)
      up[i] += 1e-4
      down[i] -= 1e-4
      let slope = (value(names, up, r) - value(names, down, r)) / 2e-4
      #expect(abs(total[i] - start[i] - scale * slope) < 1e-10, "added to what is there")
      if !regularized.contains(i) { #expect(total[i] == start[i]) }
    }
    for (i, slot) in penalty.layout.slots.enumerated() {
      var (up, down) = (r, r)
      up[i] += 1e-4
      down[i] -= 1e-4
      let slope = (value(names, w.array, up) - value(names, w.array, down)) / 2e-4
      #expect(slope > 0 && abs(penalty.gradients[slot.range.lowerBound] - scale * slope) < 1e-10)
    }
  }

  /// Beyond ±c the strength is A or 0 and r has no gradient.
  @Test func saturatedStrengthsRest() {
    let w = weights(Double.self)
    for r in [-2.5, -3, 2.5, 40] {
      let penalty = penalty(Double.self, initial: r)
      let total = ParameterGradients(count: network.count)
      let p = penalty.differentiate(w, scale: 1, into: total, workers)
      #expect(penalty.gradients.values.array.allSatisfy { $0 == 0 })
      for name in ["conv1.weight", "conv2.weight", "fc.weight"] {
        for i in network[name]!.range { #expect(total[i] == (r > 0 ? 2 * Self.amplitude * w[i] : 0)) }
      }
      #expect((p > 0) == (r > 0))
    }
  }

  /// r̄ is of this step alone, whatever was there.
  @Test func strengthGradientsAreReplaced() {
    let penalty = penalty(Float.self)
    let w = weights(Float.self)
    _ = penalty.differentiate(w, scale: 4, into: ParameterGradients(count: network.count), workers)
    _ = penalty.differentiate(w, scale: 1, into: ParameterGradients(count: network.count), workers)
    let once = self.penalty(Float.self)
    _ = once.differentiate(w, scale: 1, into: ParameterGradients(count: network.count), workers)
    #expect(penalty.gradients.values.array == once.gradients.values.array)
  }

  /// With r held, an update by Adam is that of a constant weight decay of 2λ: Adam's L2 in the gradient.
  @Test func aConstantStrengthIsWeightDecay() {
    let kernels = Kernels<Float>(path: .blas)
    let count = network.count, scale = 1024.0
    var random = CounterRandom(seed: 2, purpose: .probing)
    let gradient = (0..<count).map { _ in scale * random.normal() }
    /// One step of Adam, of the tensors that are regularized.
    func updated(_ gradients: [Double], decay: Double) -> [Float] {
      let w = weights(Float.self), m = Buffer<Float>(count: count), v = Buffer<Float>(count: count)
      let update = AdamUpdate(
        Decay(scale: 1 / scale, l2: decay, shrink: 0), beta1: 0.9, beta2: 0.999, rate: 1e-2, root: 30, epsilon: 1e-8)
      kernels.adam(w.pointer, gradients, m: m.pointer, v: v.pointer, count, update)
      return ["conv1.weight", "conv2.weight", "fc.weight"].flatMap { network[$0]!.range.map { w[$0] } }
    }
    let total = ParameterGradients(count: count)
    total.values.copy(from: Buffer(gradient))
    // h = 0.7: λ = 0.0035
    _ = penalty(Float.self, initial: 1).differentiate(weights(Float.self), scale: scale, into: total, workers)
    let adaptive = updated(total.values.array, decay: 0)
    let constant = updated(gradient, decay: 2 * 0.7 * Self.amplitude)
    #expect(zip(adaptive, constant).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(zip(constant, updated(gradient, decay: 0)).contains { abs($0 - $1) > 1e-4 }, "decay shows")
  }

  @Test func aRehearsalComputesNothing() {
    let penalty = penalty(Float.self)
    let total = ParameterGradients(count: network.count)
    #expect(
      penalty.differentiate(weights(Float.self), scale: 1, into: total, Workers(count: 2, rehearsal: true)) == 0)
    #expect(total.values.array.allSatisfy { $0 == 0 })
  }

  @Test func nonfiniteWeightsComeOut() {
    for bad in [Double.nan, .infinity] {
      let w = weights(Double.self)
      let index = network["fc.weight"]!.range.lowerBound + 3
      w[index] = bad
      let penalty = penalty(Double.self)
      let total = ParameterGradients(count: network.count)
      #expect(!penalty.differentiate(w, scale: 1, into: total, workers).isFinite)
      #expect(!total[index].isFinite && !penalty.gradients[penalty.layout.slots[2].range.lowerBound].isFinite)
    }
  }
}
