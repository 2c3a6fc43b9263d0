import Collectives
import Tensors

/// Batch normalization over the global batch of all ranks (SyncBatchNorm), n values a channel, σ² = var + ε:
///
///     y = γx̂ + β,  x̂ = (x − μ)/σ                        Σx, Σx²         (with the count, so uneven shards are right)
///     x̄ = (γ/σ)(ȳ − m(ȳ) − x̂·m(x̂ȳ))                     Σȳ, Σ(x − μ)ȳ
///     γ̄ += Σx̂ȳ,  β̄ += Σȳ                                global sums, which rank 0 alone adds to its gradients
///
/// where m is the mean over n. The layer itself touches no tensor: the sums come from the epilogue of the GEMM that
/// writes x (or ȳ), and what it returns, a scale and a shift (or three coefficients), is applied by whoever reads.
///
/// Precision: sums float64 across bands and ranks (exact, see `SumConversion`), rounded once to the accumulator. Collectives: one packed allreduce
/// a pass.
package final class BatchNorm<E: Element> {
  package typealias A = E.Accumulator
  package static var epsilon: Double { 1e-5 }
  /// The share of the new batch in the running statistics.
  package static var momentum: Double { 0.1 }

  package let channels: Int
  package let scale: ParameterLayout.Slot, shift: ParameterLayout.Slot
  package let runningMean: ParameterLayout.Slot, runningVariance: ParameterLayout.Slot

  package init(_ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, channels: Int) {
    self.channels = channels
    scale = layout.add(name + ".weight", .normScale, shape: [channels])
    shift = layout.add(name + ".bias", .normShift, shape: [channels])
    runningMean = statistics.add(name + ".running_mean", .statistic, shape: [channels])
    runningVariance = statistics.add(name + ".running_var", .statistic, shape: [channels])
  }

  /// What one forward pass leaves behind: the normalization as y = scale·x + shift, and the batch's statistics.
  package struct State {
    package let scale: Buffer<A>, shift: Buffer<A>
    /// μ rounded to the accumulator, as kernels subtract it.
    package let mean: Buffer<A>
    let batchMean: [Double], batchVariance: [Double], inverseDeviation: [Double]
    /// n, over all ranks.
    let count: Double
  }

  /// x̄ = a ȳ + b x + c.
  package struct GradientCoefficients {
    package let a: Buffer<A>, b: Buffer<A>, c: Buffer<A>
  }

  /// Normalization by the statistics of the global batch. `sums` are this rank's Σx, Σx² (then anything) of `count`
  /// values a channel.
  package func normalize(_ sums: [Double], count: Int, _ parameters: Parameters<A>, _ communicator: any Communicator)
    throws -> State
  {
    var packed = Array(sums[0..<2 * channels]) + [Double(count)]
    try communicator.allreduce(&packed, .sum)
    let n = max(1, packed[2 * channels])
    let mean = packed[0..<channels].map { $0 / n }
    // max(NaN, 0) is NaN, max(0, NaN) is 0.
    let variance = (0..<channels).map { max(packed[channels + $0] / n - mean[$0] * mean[$0], 0) }
    return state(mean, variance, count: n, parameters)
  }

  /// Normalization by the running statistics, as in evaluation.
  package func normalize(_ parameters: Parameters<A>) -> State {
    let running = parameters.statistics
    return state(
      runningMean.range.map { Double(running[$0]) }, runningVariance.range.map { Double(running[$0]) }, count: 0,
      parameters)
  }

  private func state(_ mean: [Double], _ variance: [Double], count: Double, _ parameters: Parameters<A>) -> State {
    let inverse = variance.map { 1 / ($0 + Self.epsilon).squareRoot() }
    let scales = Buffer<A>(count: channels), shifts = Buffer<A>(count: channels), means = Buffer<A>(count: channels)
    for i in 0..<channels {
      let gamma = Double(parameters.values[scale.range.lowerBound + i])
      let beta = Double(parameters.values[shift.range.lowerBound + i])
      scales[i] = A(gamma * inverse[i])
      shifts[i] = A(beta - gamma * inverse[i] * mean[i])
      means[i] = A(mean[i])
    }
    return State(
      scale: scales, shift: shifts, mean: means, batchMean: mean, batchVariance: variance, inverseDeviation: inverse,
      count: count)
  }

  /// The backward pass. `sums` are this rank's Σȳ, Σȳ(x − mean). On rank 0, adds γ̄ and β̄ to `gradients`.
  package func backward(
    _ state: State, _ sums: [Double], _ parameters: Parameters<A>, into gradients: ParameterGradients,
    _ communicator: any Communicator
  ) throws -> GradientCoefficients {
    var packed = Array(sums[0..<2 * channels])
    try communicator.allreduce(&packed, .sum)
    // From the rounded mean to the mean itself: Σȳ(x − μ) = Σȳ(x − mean) + (mean − μ)Σȳ.
    for i in 0..<channels { packed[channels + i] += (Double(state.mean[i]) - state.batchMean[i]) * packed[i] }
    if communicator.isCoordinator {
      for i in 0..<channels {
        gradients.add(packed[i], at: shift.range.lowerBound + i)
        gradients.add(packed[channels + i] * state.inverseDeviation[i], at: scale.range.lowerBound + i)
      }
    }
    let a = Buffer<A>(count: channels), b = Buffer<A>(count: channels), c = Buffer<A>(count: channels)
    for i in 0..<channels {
      let inverse = state.inverseDeviation[i]
      let slope = Double(parameters.values[scale.range.lowerBound + i]) * inverse
      let meanGradient = packed[i] / state.count, meanProduct = packed[channels + i] * inverse / state.count
      let b1 = -slope * inverse * meanProduct
      a[i] = A(slope)
      b[i] = A(b1)
      c[i] = A(-slope * meanGradient - b1 * state.batchMean[i])
    }
    return GradientCoefficients(a: a, b: b, c: c)
  }

  /// Moves the running statistics towards a batch's (the variance unbiased over the global count, as PyTorch has it).
  package func update(_ parameters: Parameters<A>, from state: State) {
    let unbiased = state.count / max(1, state.count - 1), m = Self.momentum
    let running = parameters.statistics
    for i in 0..<channels {
      let mean = runningMean.range.lowerBound + i, variance = runningVariance.range.lowerBound + i
      running[mean] = A((1 - m) * Double(running[mean]) + m * state.batchMean[i])
      running[variance] = A((1 - m) * Double(running[variance]) + m * state.batchVariance[i] * unbiased)
    }
  }
}

/// The statistics of the batch norms that a step has used, to be moved when the step counts (a skipped one does not).
package struct RunningUpdates {
  private var updates: [() -> Void] = []

  package init() {}

  package mutating func add<E: Element>(
    _ norm: BatchNorm<E>, _ state: BatchNorm<E>.State, _ parameters: Parameters<E.Accumulator>
  ) {
    updates.append { norm.update(parameters, from: state) }
  }

  package func commit() { for update in updates { update() } }
}
