/// After which steps of a run it is evaluated and saved.
struct Milestones: Sendable {
  let totalSteps: Int, stepsPerEpoch: Int
  private let evaluation: Configuration.Evaluation, checkpoint: Configuration.Checkpointing
  /// Whether there are images to test on.
  private let hasTest: Bool

  init(_ configuration: Configuration, totalSteps: Int, stepsPerEpoch: Int, hasTest: Bool) {
    (self.totalSteps, self.stepsPerEpoch, self.hasTest) = (totalSteps, stepsPerEpoch, hasTest)
    (evaluation, checkpoint) = (configuration.evaluation, configuration.checkpoint)
  }

  /// The last step, and the ends of epochs that are asked for.
  func evaluates(after step: Int) -> Bool {
    guard hasTest else { return false }
    return step == 0
      ? evaluation.beforeTraining : step == totalSteps || endsEpoch(step, every: evaluation.everyEpochs)
  }

  /// Before every evaluation, and what is asked for besides.
  func saves(after step: Int) -> Bool {
    step == totalSteps || evaluates(after: step) || endsEpoch(step, every: checkpoint.everyEpochs)
      || Self.isDue(step, checkpoint.everySteps)
  }

  private func endsEpoch(_ step: Int, every epochs: Int) -> Bool {
    step % stepsPerEpoch == 0 && Self.isDue(step / stepsPerEpoch, epochs)
  }

  private static func isDue(_ count: Int, _ every: Int) -> Bool { every > 0 && count % every == 0 }
}
