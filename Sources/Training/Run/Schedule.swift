/// The learning rate at a step: a linear warm-up, then a fall.
///
///     rate(t) = learningRate · w(t) · f(t),   t = e·S + i
///     w(t) = warmupFactor + (1 − warmupFactor) · t/T while t < T = warmupEpochs·S + warmupSteps, and 1 from then on
///     f(t) = factor^n(e) for `steps`, n(e) the number of schedule.steps that are ≤ e;
///            that of `ScheduleKind` at u = (t − T')/(N − T'), 0 before, for the others, with
///            T' = T, or for a cosine with a delay of d epochs max(T, d·S)
///
/// with e the epoch and i the step in it, both counted from 0, S the steps of an epoch and N those of the run. So `steps: [40]`
/// lets the 41st epoch begin with the lower rate, as PyTorch's `MultiStepLR(milestones=[40])` does, and without warm-up
/// `cosine` is its `CosineAnnealingLR(T_max=N)` stepped each step. A function of where the run stands and nothing else: resuming
/// needs no state.
package struct Schedule: Sendable, Equatable {
  /// Before warm-up and falls.
  package let learningRate: Double
  private let schedule: Configuration.Scheduling

  package init(_ configuration: Configuration) {
    learningRate = configuration.optimizer.learningRate
    schedule = configuration.schedule
  }

  /// - Parameters:
  ///   - epoch: from 0.
  ///   - step: within the epoch, from 0.
  ///   - stepsPerEpoch: 1 or more.
  package func learningRate(epoch: Int, step: Int, stepsPerEpoch: Int) -> Double {
    precondition(epoch >= 0 && step >= 0 && stepsPerEpoch > 0)
    let done = epoch * stepsPerEpoch + step
    let warmup = schedule.warmupEpochs * stepsPerEpoch + schedule.warmupSteps
    let rate = fallen(epoch: epoch, done: done, warmup: warmup, stepsPerEpoch)
    guard done < warmup else { return rate }
    return rate * (schedule.warmupFactor + (1 - schedule.warmupFactor) * Double(done) / Double(warmup))
  }

  /// Whether the trunk stands still in step `step` of the run, from 0.
  package func freezesTrunk(step: Int, stepsPerEpoch: Int) -> Bool {
    step < schedule.frozenEpochs * stepsPerEpoch + schedule.frozenSteps
  }

  /// Steps of the run.
  package func totalSteps(_ stepsPerEpoch: Int) -> Int {
    let all = schedule.epochs * stepsPerEpoch
    return schedule.maxSteps > 0 ? min(all, schedule.maxSteps) : all
  }

  private func fallen(epoch: Int, done: Int, warmup: Int, _ stepsPerEpoch: Int) -> Double {
    let total = totalSteps(stepsPerEpoch)
    func progress(from start: Int) -> Double {
      total > start ? min(1, max(0, Double(done - start) / Double(total - start))) : 0
    }
    switch schedule.kind {
    case .steps:
      let falls = schedule.steps.count { $0 <= epoch }
      return (0..<falls).reduce(learningRate) { rate, _ in rate * schedule.factor }
    case .cosine(let options):
      return learningRate * options.factor(progress(from: max(warmup, options.delay * stepsPerEpoch)))
    case .polynomial(let options): return learningRate * options.factor(progress(from: warmup))
    }
  }
}
