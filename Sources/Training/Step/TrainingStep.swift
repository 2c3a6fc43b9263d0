import Collectives
import Dataset
import Layers
import Losses
import Network
import Tensors

/// One step of training, spelled out: this is the page to show a colleague.
package final class TrainingStep<E: Element> {
  package typealias A = E.Accumulator
  package let network: ReIDNetwork<E>
  /// With a sharded optimizer on their way between ranks after a step, until `settle`.
  package let parameters: Parameters<A>
  /// After `differentiate`, with a sharded optimizer: of this rank's shards.
  package let gradients: ParameterGradients
  package let optimizer: Optimizer<A>
  /// The moving average of the weights, if the run has one.
  package let average: WeightAverage<A>?
  /// Adaptive L2, if the run has it.
  package let penalty: Penalty<A>?
  /// Norm loss, if the run has it.
  package let normLoss: NormLoss?
  package var lossScale: DynamicScale
  /// τ of the gradient regularizer.
  package var tangentScale: DynamicScale
  /// Of the last step's gradients, where they cross ranks as integers.
  package var magnitudes: GradientMagnitudes?
  private let loss: ReIDLoss
  private let regularizer: GradientRegularizer?
  private let lambda: Double
  /// Of the gradients of all parameters; 0: any.
  private let largestNorm: Double
  private let seed: UInt64
  private let measuresTangents: Bool
  private let reducer: GradientReducer?
  private let context: Context<E>
  private var timeline: Timeline { context.workers.timeline }

  /// Every rank makes one at the same place.
  package init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<A>, _ configuration: Configuration, _ context: Context<E>
  ) throws {
    self.network = network
    self.parameters = parameters
    self.context = context
    gradients = ParameterGradients(count: network.layout.count)
    reducer = try GradientReducer(
      gradients, wire: configuration.communication.wire,
      bucketBytes: configuration.communication.bucketMegabytes * 1_000_000,
      isSharded: configuration.optimizer.sharded, context.communicator, context.workers.timeline, context.kernels.path)
    magnitudes =
      configuration.communication.wire == .int32 ? GradientMagnitudes(tensors: network.layout.slots.count) : nil
    penalty = Penalty(network.layout, configuration)
    normLoss = NormLoss(network.layout, lambda: configuration.normLoss.lambda)
    let groups = ParameterGroup.groups(
      of: network.layout, trunk: network.trunkTensors, configuration.optimizer.factors, decays: penalty == nil)
    optimizer = Optimizer(groups, configuration.optimizer, shards: reducer?.shards)
    largestNorm = configuration.optimizer.clipNorm
    average = WeightAverage(network.layout, network.statistics, configuration)
    average?.reset(to: parameters)
    lossScale = DynamicScale(configuration)
    loss = ReIDLoss(configuration)
    regularizer = GradientRegularizer(configuration.msgr)
    lambda = configuration.msgr.lambda
    seed = configuration.seed
    tangentScale = DynamicScale(tangentsOf: regularizer, configuration)
    measuresTangents = configuration.log.level.includesDebug
  }

  /// Whether a rank moves its own part of the parameters only.
  package var isSharded: Bool { optimizer.shards.count < network.layout.count }

  /// Returns when the parameters are whole on this rank. Throws what a collective threw.
  package func settle() throws { try wait(network.layout.count) }

  /// What the optimizer keeps of past gradients, by the parameters' layout. Every rank calls it alike; rank 0 alone gets them.
  package func wholeMoments() throws -> [(prefix: String, values: Buffer<A>)] {
    guard isSharded, let reducer else { return optimizer.moments }
    try settle()
    return try timeline.measure(.reduction, "moments of all ranks") {
      try optimizer.moments.map { prefix, shards in
        let whole = Buffer<A>(count: context.communicator.isCoordinator ? network.layout.count : 0)
        try reducer.gather(shards: shards) { bucket, values in
          guard whole.count > 0 else { return }
          (whole.pointer + bucket.lowerBound).update(from: values.baseAddress!, count: bucket.count)
        }
        return (prefix, whole)
      }
    }
  }

  /// Computes the gradients of `scale`·J, summed over all ranks, of the global batch whose rows `pixels` (n × height
  /// × width × 3 bytes) and `labels` are this rank's share, where
  ///
  ///     J = L + λ Σ_s Σ_i ‖∂L/∂f_{s,i}‖ + Σ λ_i ‖w_i‖² + μ Σ_o (1 − ‖w_o‖)²
  ///
  /// as far as the configuration has these terms. Leaves them in `gradients`; changes no parameter. `step` counts what is
  /// drawn at random.
  package func differentiate(
    _ pixels: [UInt8], height: Int, width: Int, labels: RowLabels, step: Int = 0, scale: Double
  ) throws -> Differentiated<A> {
    let readsInputGradient = regularizer?.places.contains(0) ?? false
    try wait(network.packingReads(inputGradient: readsInputGradient))
    network.pack(parameters, training: true, inputGradient: readsInputGradient, context)
    timeline.measure(.packing, "gradients reset") {
      gradients.reset(
        scale: scale, A.self, steps: magnitudes.map { $0.steps(network.layout, scale: scale) })
    }
    let rows = try GlobalRows(labels, step: step, context.communicator)
    let run = Run(context, parameters, .training(seed: seed, step: step, firstRow: rows.own.lowerBound)) {
      try self.wait($0.upperBound)
    }
    let passes = try timeline.measure(.phase, "forward") {
      let images: Tensor<E> = InputNormalization.forward(pixels, height: height, width: width, context)
      return try network.forward(images, run)
    }
    let outputs = passes.values, own = network.lossParameters(parameters)
    var (value, bars) = try timeline.measure(.phase, "loss") {
      try loss.evaluate(outputs, own, rows, scale: scale, in: context.arena, context.communicator)
    }
    var result = Differentiated(loss: StepLoss(value), outputs: outputs, updates: run.updates)
    var pass = BackwardPass.plain(gradients)
    if let regularizer {
      guard let h = try perturb(passes, run, regularizer, bars, own, rows, scale: scale, &result) else { return result }
      bars = h
      pass = .regularized(gradients, tangentWeight: lambda / tangentScale.scale)
    }
    network.add(bars.map(\.parameters), to: gradients)
    try settle()
    try reducer?.begin()
    try timeline.measure(.phase, "backward") {
      try passes.backward(bars.map(\.values), pass, run)
    }
    try timeline.measure(.reduction, "gradients of all ranks") { try reducer?.finish() }
    if magnitudes != nil {
      var largest = GradientMagnitudes.largest(
        gradients, network.layout, optimizer.shards.ranges, scale: scale, context.workers, context.kernels.path)
      if isSharded { try context.communicator.allreduce(&largest, .max) }
      magnitudes?.observe(largest)
    }
    network.pullBack(gradients, parameters, context)
    if let penalty {
      result.loss.add(
        adaptiveL2: penalty.adaptive.differentiate(parameters.values, scale: scale, into: gradients, context.workers))
    }
    if let normLoss {
      result.loss.add(
        normLoss: normLoss.differentiate(parameters.values, scale: scale, into: gradients, context.workers))
    }
    return result
  }

  /// Until parameters are whole up to `index`.
  private func wait(_ index: @autoclosure () -> Int) throws {
    guard isSharded else { return }
    let index = index()
    try timeline.measure(.reduction, "parameters of all ranks") { try reducer?.require(index) }
  }

  /// The first tensor with an Inf or NaN, or nil; the same on every rank.
  private func nonfiniteGradient() throws -> String? {
    let slots = network.layout.slots
    let found = timeline.measure(.optimizer, "finite") {
      gradients.firstNonfinite(network.layout, optimizer.shards, context.accumulating)
    }
    var left = [Double(found.map { slots.count - $0 } ?? 0)]
    if isSharded { try context.communicator.allreduce(&left, .max) }
    return left[0] > 0 ? slots[slots.count - Int(left[0])].name : nil
  }

  /// The middle of a step with the gradient regularizer, from the gradients of L with respect to the outputs to those of
  /// J: backward down to the lowest place for g and v, and the tangents up from there. Nil, on every rank
  /// alike, where the gradients of L overflow.
  private func perturb(
    _ passes: NetworkPasses<E>, _ run: Run<E>, _ regularizer: GradientRegularizer, _ bars: [ReIDLoss.Gradients<A>],
    _ own: [[[Double]]], _ rows: GlobalRows, scale: Double, _ result: inout Differentiated<A>
  ) throws -> [ReIDLoss.Gradients<A>]? {
    let recorded = try timeline.measure(.phase, "recording") {
      try passes.backward(bars.map(\.values), .recording(places: regularizer.places), run)
    }
    let measured = try regularizer.measure(recorded, scale: scale, context)
    result.loss.add(msgr: measured.value, lambda: lambda)
    repeat {
      do {
        let v = regularizer.directions(measured, tangentScale: tangentScale.scale, context)
        let dots = try timeline.measure(.phase, "tangents") { try passes.forwardTangent(at: v, run) }
        if measuresTangents { result.tangents = try TangentReport(passes.storedTangents, tangentScale.scale, context) }
        return try loss.evaluateTangent(
          at: result.outputs, along: dots, from: bars, own, rows, scale: scale, weight: lambda / tangentScale.scale,
          in: context.arena, context.communicator)
      } catch is TangentOverflow {
        // On every rank alike: once more with smaller tangents, unless the gradients themselves have overflown.
      }
    } while measured.value.isFinite && tangentScale.halve()
    result.overflowed = true
    return nil
  }

  /// A whole step. One that meets an Inf or NaN on any rank changes no parameter, statistic or moment on any. With
  /// `freezesTrunk` the trunk's parameters stay as they are, its running statistics do not.
  package func run(
    _ batch: ImageBatch, labels: RowLabels, step: Int = 0, learningRate: Double, freezesTrunk: Bool = false
  ) throws -> StepResult {
    let scale = lossScale.scale
    let result = try differentiate(
      batch.pixels, height: batch.height, width: batch.width, labels: labels, step: step, scale: scale)
    let culprit: String? =
      result.overflowed
      ? "a gradient of a feature (msgr.at)"
      : result.loss.total.isFinite
        ? try nonfiniteGradient()
        : firstNonfinite(in: result)
    let tangentScaleOfStep = tangentScale.scale
    var norm: Double?
    if lossScale.update(finite: culprit == nil) {
      if regularizer != nil { _ = tangentScale.update(finite: true) }
      timeline.measure(.optimizer, "update") {
        var gradientScale = 1 / scale
        if largestNorm > 0 {
          let slots = network.layout.slots.filter { !(freezesTrunk && network.trunkTensors.contains($0.name)) }
          let found = gradients.norm(slots, context.workers) / scale
          gradientScale *= min(1, largestNorm / (found + 1e-6))
          norm = found
        }
        optimizer.update(
          parameters.values, gradients, gradientScale: gradientScale, learningRate: learningRate,
          freezesTrunk: freezesTrunk, context.accumulating)
        if isSharded { reducer?.gather(parameters.values) }
        penalty?.update(gradientScale: 1 / scale, learningRate: learningRate, context.accumulating)
        result.updates.commit()
      }
      if let average {
        try settle()
        timeline.measure(.optimizer, "average") { average.update(from: parameters, context.accumulating) }
      }
    }
    return StepResult(
      loss: result.loss, lossScale: scale, tangentScale: tangentScaleOfStep, tangents: result.tangents,
      gradientNorm: norm, skippedFor: culprit)
  }
}
