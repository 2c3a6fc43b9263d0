/// The learning rate at a step: a linear warm-up, then a fall at given epochs.
///
///     rate(e, i) = learningRate · factor^n(e) · w(t),   t = e·S + i,
///     n(e) = the number of schedule.steps that are ≤ e,
///     w(t) = warmupFactor + (1 − warmupFactor) · t/T while t < T = warmupEpochs·S, and 1 from then on
///
/// with e the epoch and i the step in it, both counted from 0, and S the steps of an epoch. So `steps: [40]` lets
/// the 41st epoch begin with the lower rate, as PyTorch's `MultiStepLR(milestones=[40])` does. A function of where
/// the run stands and nothing else: resuming needs no state.
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
    let falls = schedule.steps.count { $0 <= epoch }
    let rate = (0..<falls).reduce(learningRate) { rate, _ in rate * schedule.factor }
    let warmupSteps = schedule.warmupEpochs * stepsPerEpoch
    let done = epoch * stepsPerEpoch + step
    guard done < warmupSteps else { return rate }
    return rate * (schedule.warmupFactor + (1 - schedule.warmupFactor) * Double(done) / Double(warmupSteps))
  }
}
