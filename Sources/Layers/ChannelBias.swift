import Tensors

/// What stands in the place of a norm where there is none: y = x + β, a shift a channel.
///
/// Of all statistics these are fixed, μ = 0 and σ = 1, so that ẏ = ẋ, x̄ = ȳ and β̄ += Σȳ. Weight-aligned filters need no more
/// (Shi et al., "WeightAlign", ICPR 2020).
///
/// Precision: β̄ float64 across bands and ranks. Collectives: one allreduce of Σȳ, Σẋ or Σh a pass; none forwards.
package final class ChannelBias<E: Element>: Normalization {
  package let channels: Int
  fileprivate let shift: ParameterLayout.Slot

  /// The tensor `<name>.bias`.
  package init(_ layout: inout ParameterLayout, _ name: String, channels: Int) {
    self.channels = channels
    shift = layout.add(name + ".bias", .normShift, shape: [channels])
  }

  package func forwardSums(training: Bool) -> Epilogue<E>.ForwardSums { .none }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let bias = graph.parameter(shift, shape: [channels, 1, 1])
    return graph.add("Add", [x.name, bias], extent: x.extent)
  }

  package func passes(_ sums: Sums, _ shape: Shape, _ run: Run<E>) -> any NormPasses<E> {
    run.note([shift])
    return ChannelBiasPasses(self, shape, run.parameters)
  }
}

private final class ChannelBiasPasses<E: Element>: NormPasses {
  let state: NormState<E.Accumulator>
  private let bias: ChannelBias<E>

  init(_ bias: ChannelBias<E>, _ shape: Shape, _ parameters: Parameters<E.Accumulator>) {
    self.bias = bias
    let count = bias.channels, ones = [Double](repeating: 1, count: count)
    let shifts = Buffer<E.Accumulator>(count: count)
    for (i, index) in bias.shift.range.enumerated() { shifts[i] = parameters.values[index] }
    state = NormState(
      scale: Buffer([E.Accumulator](repeating: 1, count: count)), shift: shifts, mean: Buffer(count: count),
      imageStride: 0, sets: 1, exactMean: [Double](repeating: 0, count: count), inverseDeviation: ones,
      count: Double(shape.pixels), area: Double(shape.area))
  }

  /// The gradient or tangent as it comes.
  private var same: NormCoefficients<E.Accumulator> {
    let ones = [E.Accumulator](repeating: 1, count: bias.channels)
    return NormCoefficients(
      a: Buffer(ones), b: Buffer(count: bias.channels), c: Buffer(count: bias.channels), imageStride: 0)
  }

  /// The first term over all ranks.
  private func total(_ sums: Sums, _ run: Run<E>) throws -> [Double] {
    var total = Array(sums.total[0..<bias.channels])
    try run.communicator.allreduce(&total, .sum)
    return total
  }

  func forwardTangent(_ sums: Sums, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    guard try total(sums, run).allSatisfy(\.isFinite) else { throw TangentOverflow() }
    return same
  }

  func backward(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    if let gradients = pass.gradients { try add(sums, to: gradients, run) }
    return same
  }

  func backwardTangent(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> RegularizedNormCoefficients<
    E.Accumulator
  > {
    if let gradients = pass.gradients { try add(sums, to: gradients, run) }
    return RegularizedNormCoefficients(
      base: same, d: Buffer(count: bias.channels), e: Buffer(count: bias.channels))
  }

  /// A global sum, which rank 0 alone adds.
  private func add(_ sums: Sums, to gradients: ParameterGradients, _ run: Run<E>) throws {
    let total = try total(sums, run)
    guard run.communicator.isCoordinator else { return }
    for (index, value) in zip(bias.shift.range, total) { gradients.add(value, at: index) }
  }
}
