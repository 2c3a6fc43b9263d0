/// After which steps of a run it is evaluated and saved.
struct Milestones: Sendable {
  let totalSteps: Int, stepsPerEpoch: Int
  private let evaluation: Configuration.Evaluation, checkpoint: Configuration.Checkpointing

  init(_ configuration: Configuration, totalSteps: Int, stepsPerEpoch: Int) {
    (self.totalSteps, self.stepsPerEpoch) = (totalSteps, stepsPerEpoch)
    (evaluation, checkpoint) = (configuration.evaluation, configuration.checkpoint)
  }

  /// The last step, and the ends of epochs that are asked for.
  func evaluates(after step: Int) -> Bool { step == totalSteps || endsEpoch(step, every: evaluation.everyEpochs) }

  /// Before every evaluation, and what is asked for besides.
  func saves(after step: Int) -> Bool {
    evaluates(after: step) || endsEpoch(step, every: checkpoint.everyEpochs) || Self.isDue(step, checkpoint.everySteps)
  }

  private func endsEpoch(_ step: Int, every epochs: Int) -> Bool {
    step % stepsPerEpoch == 0 && Self.isDue(step / stepsPerEpoch, epochs)
  }

  private static func isDue(_ count: Int, _ every: Int) -> Bool { every > 0 && count % every == 0 }
}
