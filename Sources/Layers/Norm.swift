import Collectives
import Tensors

/// Normalization by the statistics of n values a channel, σ² = var + ε: of the global batch of all ranks (batch norm,
/// SyncBatchNorm), of the pixels of each image by itself (instance norm), or of each kind for some channels (IBN).
///
///     y = γx̂ + β,  x̂ = (x − μ)/σ                        Σx, Σx²         (with the count, so uneven shards are right)
///     ẏ = γx̂˙,  x̂˙ = (ẋ − m(ẋ) − x̂σ̇)/σ,  σ̇ = m(x̂ẋ)     Σẋ, Σ(x − μ)ẋ   (and Σẋȳ, which the last pass needs)
///     x̄ = (γ/σ)(ȳ − m(ȳ) − x̂·m(x̂ȳ))                     Σȳ, Σ(x − μ)ȳ
///     γ̄ += Σx̂ȳ,  β̄ += Σȳ                                batch norm: global sums, which rank 0 alone adds
///     x̄˙ = (γ/σ)(ȳ˙ − m(ȳ˙) − x̂˙·m(x̂ȳ) − x̂·m(x̂˙ȳ + x̂ȳ˙)) − (σ̇/σ)·x̄
///     γ̄˙ += Σ(x̂˙ȳ + x̂ȳ˙),  β̄˙ += Σȳ˙
///
/// where m is the mean over n. The last pass carries h = ȳ + λȳ˙ (see `BackwardPass`), so it returns x̄ + λx̄˙, and needs
/// Σh, Σ(x − μ)h.
///
/// The layer itself touches no tensor: the sums come from the epilogue of the GEMM that writes x (ȳ, ẋ, h), and what it
/// returns, a few coefficients a channel (for instance norm: a channel and image), is applied by whoever reads.
///
/// Precision: sums float64 across bands and ranks (exact, see `SumConversion`), rounded once to the accumulator.
/// Collectives: one packed allreduce a pass; none for instance norm.
package final class Norm<E: Element> {
  package typealias A = E.Accumulator
  package static var epsilon: Double { 1e-5 }
  /// The share of the new batch in the running statistics.
  package static var momentum: Double { 0.1 }

  package let channels: Int
  /// How many, from the first on, are normalized over single images.
  package let instanceChannels: Int
  private let parts: [Part]
  /// Where γ and β of each channel stand; nil where there is no β.
  private let scaleIndices: [Int], shiftIndices: [Int?]

  /// The parameters of consecutive channels.
  private struct Part {
    let scale: ParameterLayout.Slot
    /// nil: always 0.
    let shift: ParameterLayout.Slot?
    let running: (mean: ParameterLayout.Slot, variance: ParameterLayout.Slot)?

    init(
      _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, channels: Int,
      isBatch: Bool, hasShift: Bool = true, start: ParameterLayout.Start = .usual
    ) {
      scale = layout.add(name + ".weight", .normScale, shape: [channels], start: start)
      shift = hasShift ? layout.add(name + ".bias", .normShift, shape: [channels]) : nil
      running =
        isBatch
        ? (
          statistics.add(name + ".running_mean", .statistic, shape: [channels]),
          statistics.add(name + ".running_var", .statistic, shape: [channels])
        ) : nil
    }

    func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
      let zeros = [Double](repeating: 0, count: scale.count)
      let shift =
        shift.map { graph.parameter($0) } ?? graph.constant("zeros.\(zeros.count)", [zeros.count]) { .numbers(zeros) }
      let statistics = running.map { [graph.statistic($0.mean), graph.statistic($0.variance)] } ?? []
      return graph.add(
        running == nil ? "InstanceNormalization" : "BatchNormalization",
        [x.name, graph.parameter(scale), shift] + statistics, extent: x.extent, [("epsilon", .number(Norm.epsilon))])
    }
  }

  private init(_ name: String, _ parts: [Part], channels: Int, instanceChannels: Int) {
    (self.name, self.parts, self.channels, self.instanceChannels) = (name, parts, channels, instanceChannels)
    (scaleIndices, shiftIndices) = (
      parts.flatMap(\.scale.range),
      parts.flatMap { part in
        part.scale.range.indices.map { index in
          part.shift.map { $0.range.lowerBound + index - part.scale.range.lowerBound }
        }
      }
    )
  }

  /// Batch norm; `start`: what γ begins as.
  package convenience init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, channels: Int,
    hasShift: Bool = true, start: ParameterLayout.Start = .usual
  ) {
    let part = Part(
      &layout, &statistics, name, channels: channels, isBatch: true, hasShift: hasShift, start: start)
    self.init(name, [part], channels: channels, instanceChannels: 0)
  }

  /// IBN (Pan et al., "Two at Once", 2018): instance norm of the first `instanceChannels`, batch norm of the rest; the
  /// names of their parameters go on with `IN` and `BN`.
  package convenience init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, channels: Int,
    instanceChannels: Int
  ) {
    precondition(0 <= instanceChannels && instanceChannels <= channels)
    var parts: [Part] = []
    for (isBatch, count) in [(false, instanceChannels), (true, channels - instanceChannels)] where count > 0 {
      let name = name + (isBatch ? ".BN" : ".IN")
      parts.append(Part(&layout, &statistics, name, channels: count, isBatch: isBatch))
    }
    self.init(name, parts, channels: channels, instanceChannels: instanceChannels)
  }

  /// Instance norm (Ulyanov et al., 2016) of all channels, each image by itself.
  package convenience init(_ layout: inout ParameterLayout, instance name: String, channels: Int) {
    var none = ParameterLayout()
    let part = Part(&layout, &none, name, channels: channels, isBatch: false)
    self.init(name, [part], channels: channels, instanceChannels: channels)
  }

  /// What its tensors begin with.
  package let name: String

  /// Of the batch-normalized channels, or where there are none of all.
  package var scale: ParameterLayout.Slot { parts[parts.count - 1].scale }
  package var shift: ParameterLayout.Slot? { parts[parts.count - 1].shift }

  /// Which sums the forward pass wants of what writes x.
  package func forwardSums(training: Bool) -> Epilogue<E>.ForwardSums {
    instanceChannels > 0 ? .ofEachImage : training ? .ofAllImages : .none
  }

  // MARK: - Forward

  /// The normalization of x of this shape, from this rank's Σx, Σx² (which evaluation needs for instance norm alone).
  package func normalize(_ sums: Sums, _ shape: Shape, _ run: Run<E>) throws -> NormState<A> {
    run.note(parts.flatMap { [$0.scale] + ($0.shift.map { [$0] } ?? []) })
    // A rank without images has a set too: it may be the one that adds the gradients of batch norm.
    let sets = instanceChannels > 0 ? max(1, shape.images) : 1, batchChannels = channels - instanceChannels
    var mean: [Double] = [], variance: [Double] = [], n = 0.0
    if batchChannels > 0, run.isTraining {
      var packed = batchTotals(sums, terms: 2) + [Double(shape.pixels)]
      try run.communicator.allreduce(&packed, .sum)
      n = max(1, packed[2 * batchChannels])
      mean = packed[0..<batchChannels].map { $0 / n }
      // max(NaN, 0) is NaN, max(0, NaN) is 0.
      variance = (0..<batchChannels).map { max(packed[batchChannels + $0] / n - mean[$0] * mean[$0], 0) }
      if let running = parts[parts.count - 1].running {
        let (values, mean, variance, count) = (run.parameters.statistics, mean, variance, n)
        run.updates.add { Self.move(running, values, mean, variance, count) }
      }
    } else if let running = parts[parts.count - 1].running {
      mean = running.mean.range.map { Double(run.parameters.statistics[$0]) }
      variance = running.variance.range.map { Double(run.parameters.statistics[$0]) }
    }
    let area = Double(shape.area)
    var means: [Double] = [], variances: [Double] = []
    for set in 0..<sets {
      for channel in 0..<instanceChannels {
        let mean = sums.sets > 0 ? sums[0, channel, set: set] / area : 0
        means.append(mean)
        variances.append(sums.sets > 0 ? max(sums[1, channel, set: set] / area - mean * mean, 0) : 0)
      }
      means += mean
      variances += variance
    }
    return state(means, variances, sets: sets, count: n, area: area, run.parameters)
  }

  private func state(
    _ mean: [Double], _ variance: [Double], sets: Int, count: Double, area: Double, _ parameters: Parameters<A>
  ) -> NormState<A> {
    let inverse = variance.map { 1 / ($0 + Self.epsilon).squareRoot() }, size = sets * channels
    let scales = Buffer<A>(count: size), shifts = Buffer<A>(count: size), means = Buffer<A>(count: size)
    let gammas = gammas(parameters), betas = shiftIndices.map { $0.map { Double(parameters.values[$0]) } ?? 0 }
    for i in 0..<size {
      let gamma = gammas[i % channels]
      scales[i] = A(gamma * inverse[i])
      shifts[i] = A(betas[i % channels] - gamma * inverse[i] * mean[i])
      means[i] = A(mean[i])
    }
    return NormState(
      scale: scales, shift: shifts, mean: means, imageStride: instanceChannels > 0 ? channels : 0, sets: sets,
      exactMean: mean, inverseDeviation: inverse, count: count, area: area)
  }

  /// Moves the running statistics towards a batch's (the variance unbiased over the global count, as PyTorch has it).
  private static func move(
    _ slots: (mean: ParameterLayout.Slot, variance: ParameterLayout.Slot), _ running: Buffer<A>, _ means: [Double],
    _ variances: [Double], _ count: Double
  ) {
    let unbiased = count / max(1, count - 1), m = Self.momentum
    for i in means.indices {
      let mean = slots.mean.range.lowerBound + i, variance = slots.variance.range.lowerBound + i
      running[mean] = A((1 - m) * Double(running[mean]) + m * means[i])
      running[variance] = A((1 - m) * Double(running[variance]) + m * variances[i] * unbiased)
    }
  }

  /// With running statistics, as operators of `graph`: a map, or a feature.
  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    var first = 0
    return graph.joined(
      parts.map { part in
        let count = part.scale.count
        let own = count == channels ? x : graph.part(x, axis: 1, first..<first + count)
        first += count
        return part.express(own, in: graph)
      })
  }

  // MARK: - The other passes

  /// ẏ from `sums`, which have to be finite (`TangentOverflow`): this rank's Σẋ, Σẋ(x − mean), Σẋȳ, where ȳ is the gradient
  /// that `backward` was told of.
  package func forwardTangent(_ state: NormState<A>, _ sums: Sums, _ run: Run<E>) throws -> NormTangent<A> {
    let totals = try Totals(self, sums, terms: 3, run)
    guard totals.areFinite else { throw TangentOverflow() }
    let (means, products) = centred(state, totals)
    let cross = (0..<state.sets * channels).map { totals[2, $0] / count($0, state) }
    // The Jacobian of x̂ is symmetric, so ẏ follows from ẋ as x̄ does from ȳ.
    return NormTangent(
      coefficients: coefficients(state, means, products, run.parameters), meanTangent: means,
      deviationTangent: products, meanCross: cross)
  }

  /// x̄. `sums` are this rank's Σȳ, Σȳ(x − mean). Adds γ̄ and β̄ to `gradients`, if there are any.
  package func backward(_ state: NormState<A>, _ sums: Sums, into gradients: ParameterGradients?, _ run: Run<E>) throws
    -> NormBackward<A>
  {
    let totals = try Totals(self, sums, terms: 2, run)
    let (means, products) = centred(state, totals)
    if let gradients {
      for i in 0..<state.sets * channels where counts(i, run) {
        if let shift = shiftIndices[i % channels] { gradients.add(totals[0, i], at: shift) }
        gradients.add(products[i] * count(i, state), at: scaleIndices[i % channels])
      }
    }
    return NormBackward(
      coefficients: coefficients(state, means, products, run.parameters), meanGradient: means, meanProduct: products)
  }

  /// x̄ + λx̄˙, where the stored tangents count `weight` κ in λ times the true ones. `sums` are this rank's Σh, Σh(x − mean).
  /// Adds γ̄ + λγ̄˙ and β̄ + λβ̄˙ to `gradients`.
  package func backwardTangent(
    _ state: NormState<A>, _ backward: NormBackward<A>, _ tangent: NormTangent<A>, weight: Double, _ sums: Sums,
    into gradients: ParameterGradients, _ run: Run<E>
  ) throws -> RegularizedNormCoefficients<A> {
    let totals = try Totals(self, sums, terms: 2, run)
    let (means, products) = centred(state, totals), gammas = gammas(run.parameters), size = state.sets * channels
    let base = NormCoefficients<A>(sets: state.sets, channels: channels, imageStride: state.imageStride)
    let d = Buffer<A>(count: size), e = Buffer<A>(count: size)
    for i in 0..<size {
      let inverse = state.inverseDeviation[i], slope = gammas[i % channels] * inverse
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
      base.c[i] = A(constant - onNormalized * inverse * state.exactMean[i])
      d[i] = A(-weight * slope * inverse * dDeviation)
      e[i] = A(-weight * slope * inverse * product)
      guard counts(i, run) else { continue }
      if let shift = shiftIndices[i % channels] { gradients.add(totals[0, i], at: shift) }
      gradients.add((products[i] + weight * cross) * count(i, state), at: scaleIndices[i % channels])
    }
    return RegularizedNormCoefficients(base: base, d: d, e: e)
  }

  /// m(v) and m(x̂v) of each set and channel from Σv, Σv(x − mean).
  private func centred(_ state: NormState<A>, _ totals: Totals) -> (means: [Double], products: [Double]) {
    var means: [Double] = [], products: [Double] = []
    for i in 0..<state.sets * channels {
      // From the rounded mean to the mean itself: Σv(x − μ) = Σv(x − mean) + (mean − μ)Σv.
      let product = totals[1, i] + (Double(state.mean[i]) - state.exactMean[i]) * totals[0, i]
      means.append(totals[0, i] / count(i, state))
      products.append(product * state.inverseDeviation[i] / count(i, state))
    }
    return (means, products)
  }

  /// (γ/σ)(v − m(v) − x̂·m(x̂v)) = a v + b x + c.
  private func coefficients(_ state: NormState<A>, _ means: [Double], _ products: [Double], _ parameters: Parameters<A>)
    -> NormCoefficients<A>
  {
    let result = NormCoefficients<A>(sets: state.sets, channels: channels, imageStride: state.imageStride)
    let gammas = gammas(parameters)
    for i in 0..<state.sets * channels {
      let inverse = state.inverseDeviation[i], slope = gammas[i % channels] * inverse
      let b = -slope * inverse * products[i]
      result.a[i] = A(slope)
      result.b[i] = A(b)
      result.c[i] = A(-slope * means[i] - b * state.exactMean[i])
    }
    return result
  }

  // MARK: - Sets and channels

  /// The sums that each set and channel is concerned with: the batch's over all ranks, an image's by themselves.
  private struct Totals {
    private let batch: [Double], own: Sums, channels: Int, instanceChannels: Int

    init(_ norm: Norm, _ sums: Sums, terms: Int, _ run: Run<E>) throws {
      (own, channels, instanceChannels) = (sums, norm.channels, norm.instanceChannels)
      var packed = norm.batchTotals(sums, terms: terms)
      if !packed.isEmpty { try run.communicator.allreduce(&packed, .sum) }
      batch = packed
    }

    subscript(term: Int, index: Int) -> Double {
      let channel = index % channels
      guard channel >= instanceChannels else { return own.sets > 0 ? own[term, channel, set: index / channels] : 0 }
      return batch[term * (channels - instanceChannels) + channel - instanceChannels]
    }

    /// On every rank alike only without instance norms, whose sums are a rank's own; these show in what comes next.
    var areFinite: Bool { batch.allSatisfy(\.isFinite) }
  }

  /// terms × batch-normalized channels, of this rank.
  private func batchTotals(_ sums: Sums, terms: Int) -> [Double] {
    guard instanceChannels < channels else { return [] }
    let total = sums.total
    return instanceChannels == 0
      ? Array(total[0..<terms * channels])
      : (0..<terms).flatMap { total[$0 * channels + instanceChannels..<($0 + 1) * channels] }
  }

  /// n.
  private func count(_ index: Int, _ state: NormState<A>) -> Double {
    index % channels < instanceChannels ? state.area : state.count
  }

  /// Whether this rank adds the gradients of γ and β: of batch norm they are global sums, the same on all ranks, and stand
  /// in the first set.
  private func counts(_ index: Int, _ run: Run<E>) -> Bool {
    index % channels < instanceChannels || index < channels && run.communicator.isCoordinator
  }

  private func gammas(_ parameters: Parameters<A>) -> [Double] {
    scaleIndices.map { Double(parameters.values[$0]) }
  }
}

/// A tangent is too large for its storage, or not a number: thrown on every rank alike, because all see the same sums.
package struct TangentOverflow: Error {
  package init() {}
}
