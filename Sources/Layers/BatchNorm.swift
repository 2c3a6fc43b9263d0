import Collectives
import Tensors

/// Batch normalization over the global batch of all ranks (SyncBatchNorm), n values a channel, σ² = var + ε:
///
///     y = γx̂ + β,  x̂ = (x − μ)/σ                        Σx, Σx²         (with the count, so uneven shards are right)
///     ẏ = γx̂˙,  x̂˙ = (ẋ − m(ẋ) − x̂σ̇)/σ,  σ̇ = m(x̂ẋ)     Σẋ, Σ(x − μ)ẋ   (and Σẋȳ, which the last pass needs)
///     x̄ = (γ/σ)(ȳ − m(ȳ) − x̂·m(x̂ȳ))                     Σȳ, Σ(x − μ)ȳ
///     γ̄ += Σx̂ȳ,  β̄ += Σȳ                                global sums, which rank 0 alone adds to its gradients
///     x̄˙ = (γ/σ)(ȳ˙ − m(ȳ˙) − x̂˙·m(x̂ȳ) − x̂·m(x̂˙ȳ + x̂ȳ˙)) − (σ̇/σ)·x̄
///     γ̄˙ += Σ(x̂˙ȳ + x̂ȳ˙),  β̄˙ += Σȳ˙
///
/// where m is the mean over n. The last pass carries h = ȳ + λȳ˙ (see `BackwardPass`), so it returns x̄ + λx̄˙, and needs
/// Σh, Σ(x − μ)h.
///
/// The layer itself touches no tensor: the sums come from the epilogue of the GEMM that writes x (ȳ, ẋ, h), and what it
/// returns, a few coefficients a channel, is applied by whoever reads.
///
/// Precision: sums float64 across bands and ranks (exact, see `SumConversion`), rounded once to the accumulator.
/// Collectives: one packed allreduce a pass.
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

  /// x̄ = a ȳ + b x + c, or ẏ = a ẋ + b x + c.
  package struct Coefficients {
    package let a: Buffer<A>, b: Buffer<A>, c: Buffer<A>

    fileprivate init(channels: Int) {
      (a, b, c) = (Buffer(count: channels), Buffer(count: channels), Buffer(count: channels))
    }

    /// All three times `factor`.
    func scaled(by factor: Double) -> Coefficients {
      let result = Coefficients(channels: a.count)
      for (from, to) in [(a, result.a), (b, result.b), (c, result.c)] {
        for i in 0..<from.count { to[i] = A(Double(from[i]) * factor) }
      }
      return result
    }
  }

  /// What a backward pass leaves behind: x̄, and the means m(ȳ), m(x̂ȳ).
  package struct Backward {
    package let coefficients: Coefficients
    let meanGradient: [Double], meanProduct: [Double]
  }

  /// What a tangent pass leaves behind: ẏ, and m(ẋ), σ̇, m(ẋȳ).
  package struct Tangent {
    package let coefficients: Coefficients
    let meanTangent: [Double], deviationTangent: [Double], meanCross: [Double]
  }

  /// x̄ + λx̄˙ = a h + b x + c + d ȳ + e ẋ.
  package struct RegularizedCoefficients {
    package let base: Coefficients
    package let d: Buffer<A>, e: Buffer<A>
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
      let gamma = gamma(i, parameters)
      let beta = Double(parameters.values[shift.range.lowerBound + i])
      scales[i] = A(gamma * inverse[i])
      shifts[i] = A(beta - gamma * inverse[i] * mean[i])
      means[i] = A(mean[i])
    }
    return State(
      scale: scales, shift: shifts, mean: means, batchMean: mean, batchVariance: variance, inverseDeviation: inverse,
      count: count)
  }

  /// ẏ from `sums`, which have to be finite (`TangentOverflow`): this rank's Σẋ, Σẋ(x − mean), Σẋȳ, where ȳ is the gradient that `backward` was told of.
  package func forwardTangent(
    _ state: State, _ sums: [Double], _ parameters: Parameters<A>, _ communicator: any Communicator
  ) throws -> Tangent {
    var packed = Array(sums[0..<3 * channels])
    try communicator.allreduce(&packed, .sum)
    guard packed.allSatisfy(\.isFinite) else { throw TangentOverflow() }
    let (means, products) = centred(state, packed)
    let cross = packed[2 * channels..<3 * channels].map { $0 / state.count }
    // The Jacobian of x̂ is symmetric, so ẏ follows from ẋ as x̄ does from ȳ.
    return Tangent(
      coefficients: coefficients(state, means, products, parameters), meanTangent: means, deviationTangent: products,
      meanCross: cross)
  }

  /// x̄. `sums` are this rank's Σȳ, Σȳ(x − mean). On rank 0, adds γ̄ and β̄ to `gradients`, if there are any.
  package func backward(
    _ state: State, _ sums: [Double], _ parameters: Parameters<A>, into gradients: ParameterGradients?,
    _ communicator: any Communicator
  ) throws -> Backward {
    var packed = Array(sums[0..<2 * channels])
    try communicator.allreduce(&packed, .sum)
    let (means, products) = centred(state, packed)
    if let gradients, communicator.isCoordinator {
      for i in 0..<channels {
        gradients.add(packed[i], at: shift.range.lowerBound + i)
        gradients.add(products[i] * state.count, at: scale.range.lowerBound + i)
      }
    }
    return Backward(
      coefficients: coefficients(state, means, products, parameters), meanGradient: means, meanProduct: products)
  }

  /// x̄ + λx̄˙, where the stored tangents count `weight` κ in λ times the true ones. `sums` are this rank's Σh, Σh(x − mean).
  /// On rank 0, adds γ̄ + λγ̄˙ and β̄ + λβ̄˙ to `gradients`.
  package func backwardTangent(
    _ state: State, _ backward: Backward, _ tangent: Tangent, weight: Double, _ sums: [Double],
    _ parameters: Parameters<A>, into gradients: ParameterGradients, _ communicator: any Communicator
  ) throws -> RegularizedCoefficients {
    var packed = Array(sums[0..<2 * channels])
    try communicator.allreduce(&packed, .sum)
    let (means, products) = centred(state, packed)
    let base = Coefficients(channels: channels), d = Buffer<A>(count: channels), e = Buffer<A>(count: channels)
    for i in 0..<channels {
      let inverse = state.inverseDeviation[i], slope = gamma(i, parameters) * inverse
      let dDeviation = tangent.deviationTangent[i], product = backward.meanProduct[i]
      // m(x̂˙ȳ) = (m(ẋȳ) − m(ẋ)m(ȳ) − σ̇·m(x̂ȳ))/σ
      let cross =
        inverse * (tangent.meanCross[i] - tangent.meanTangent[i] * backward.meanGradient[i] - dDeviation * product)
      // On x̂: from x̂·m(x̂h + x̂˙ȳ), from x̂˙·m(x̂ȳ), and from (σ̇/σ)x̄.
      let onNormalized = -slope * (products[i] + weight * (cross - 2 * dDeviation * inverse * product))
      let constant =
        -slope * means[i]
        + weight * slope * inverse * (tangent.meanTangent[i] * product + dDeviation * backward.meanGradient[i])
      base.a[i] = A(slope)
      base.b[i] = A(onNormalized * inverse)
      base.c[i] = A(constant - onNormalized * inverse * state.batchMean[i])
      d[i] = A(-weight * slope * inverse * dDeviation)
      e[i] = A(-weight * slope * inverse * product)
      guard communicator.isCoordinator else { continue }
      gradients.add(packed[i], at: shift.range.lowerBound + i)
      gradients.add((products[i] + weight * cross) * state.count, at: scale.range.lowerBound + i)
    }
    return RegularizedCoefficients(base: base, d: d, e: e)
  }

  /// m(v) and m(x̂v) from the global Σv, Σv(x − mean).
  private func centred(_ state: State, _ packed: [Double]) -> (means: [Double], products: [Double]) {
    var means: [Double] = [], products: [Double] = []
    for i in 0..<channels {
      // From the rounded mean to the mean itself: Σv(x − μ) = Σv(x − mean) + (mean − μ)Σv.
      let product = packed[channels + i] + (Double(state.mean[i]) - state.batchMean[i]) * packed[i]
      means.append(packed[i] / state.count)
      products.append(product * state.inverseDeviation[i] / state.count)
    }
    return (means, products)
  }

  /// (γ/σ)(v − m(v) − x̂·m(x̂v)) = a v + b x + c.
  private func coefficients(_ state: State, _ means: [Double], _ products: [Double], _ parameters: Parameters<A>)
    -> Coefficients
  {
    let result = Coefficients(channels: channels)
    for i in 0..<channels {
      let inverse = state.inverseDeviation[i], slope = gamma(i, parameters) * inverse
      let b = -slope * inverse * products[i]
      result.a[i] = A(slope)
      result.b[i] = A(b)
      result.c[i] = A(-slope * means[i] - b * state.batchMean[i])
    }
    return result
  }

  private func gamma(_ i: Int, _ parameters: Parameters<A>) -> Double {
    Double(parameters.values[scale.range.lowerBound + i])
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

/// A tangent is too large for its storage, or not a number: thrown on every rank alike, because all see the same sums.
package struct TangentOverflow: Error {
  package init() {}
}
