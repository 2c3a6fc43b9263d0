import Collectives
import Layers
import Tensors

/// Saves a run as it goes on, and knows what it can go back to. Every rank has one and calls it alike; rank 0 writes.
///
/// A checkpoint whose numbers are finite can still be ruined: its next loss is not. It is proven once a step that began
/// from it has counted.
final class Checkpointer<E: Element> {
  /// Whether the state of training as it is now stands in a checkpoint.
  private(set) var isSaved = false
  /// Whether steps have counted that stand in no checkpoint.
  private(set) var hasProgress = false
  /// The checkpoint that the coming step begins from, until a step proves it.
  private var unproven: String?
  private let run: RunFolder
  private let step: TrainingStep<E>
  private let identities: [Int], cameras: [Int]?
  private let configuration: Configuration
  private let context: Context<E>
  private let log: RunLog

  private var communicator: any Communicator { context.communicator }

  /// - Parameter checkpoint: what `step` was restored from.
  init(
    _ run: RunFolder, _ step: TrainingStep<E>, identities: [Int], cameras: [Int]?, _ configuration: Configuration,
    _ context: Context<E>, _ log: RunLog, resuming checkpoint: Checkpoint?
  ) {
    (self.run, self.step, self.identities, self.cameras) = (run, step, identities, cameras)
    (self.configuration, self.context, self.log) = (configuration, context, log)
    // One of another run is not this run's yet.
    guard let checkpoint, checkpoint.folder.hasPrefix(run.checkpoints.path + "/") else { return }
    isSaved = true
    unproven = checkpoint.folder.split(separator: "/").last.map(String.init)
  }

  /// Takes note of a step. On rank 0 it may throw.
  func stepped(counted: Bool) throws {
    isSaved = false
    guard counted else { return }
    hasProgress = true
    if let unproven, communicator.isCoordinator { try run.checkpoints.markProven(unproven) }
    unproven = nil
  }

  /// Writes a checkpoint after `done` steps, and removes old ones.
  func save(_ done: Int, best: Checkpoint.State.Best?) throws {
    guard !isSaved else { return }
    let timeline = context.workers.timeline
    timeline.begin("checkpoint")
    try step.settle()
    if let name = try nonfinite() { throw try diverged("step \(done): \(name) is not finite") }
    let moments = try step.wholeMoments()
    let state = Checkpoint.State(
      step, step: done, best: best, identities: identities, cameras: cameras, configuration)
    try communicator.agree {
      guard communicator.isCoordinator else { return }
      try run.requireLock()
      do {
        let name = try run.checkpoints.save(step, moments, state) { timeline.beat() }
        log.info("checkpoint \(run.checkpoints.path)/\(name)")
        try run.checkpoints.prune(keep: configuration.checkpoint.keep)
      } catch {
        // Where the folder was taken away meanwhile, that is the reason.
        try run.requireLock()
        throw error
      }
    }
    (isSaved, hasProgress, unproven) = (true, false, CheckpointFolder.name(done))
  }

  /// The first tensor with an Inf or NaN that some rank has, the first rank's; nil where there is none.
  private func nonfinite() throws -> String? {
    let own = step.nonfinite()
    guard step.isSharded else { return own }
    let all = try communicator.allgather(Array((own ?? "").utf8)).map { String(decoding: $0, as: UTF8.self) }
    return all.first { !$0.isEmpty }
  }

  /// On rank 0: the state after `done` steps is the best so far.
  func markBest(_ done: Int) throws {
    guard isSaved else { return }
    try run.checkpoints.markBest(CheckpointFolder.name(done))
    try run.checkpoints.prune(keep: configuration.checkpoint.keep)
  }

  /// The end of a run whose numbers are lost: a resumed one goes on from the last checkpoint that was proven.
  func diverged(_ why: String, advice: String = "a lower optimizer.learningRate or a warm-up may help") throws
    -> AgreedFailure
  {
    let last = try communicator.agree { communicator.isCoordinator ? try goBack() : nil }
    let size = communicator.size
    return last.map { AgreedFailure(Failure(.diverged, "diverged at \(why); \($0); \(advice)"), ranks: size, of: size) }
      ?? AgreedFailure(kind: .diverged, ranks: size, of: size)
  }

  /// Makes the proven checkpoint the latest. Returns what to say of it.
  private func goBack() throws -> String {
    let checkpoints = run.checkpoints
    guard let proven = checkpoints.proven else {
      guard let latest = checkpoints.latest else { return "there is no checkpoint yet" }
      return "no step has counted after a checkpoint yet, the latest is \(checkpoints.path)/\(latest)"
    }
    try run.requireLock()
    if proven != checkpoints.latest { try checkpoints.markLatest(proven) }
    return "the last good checkpoint is \(checkpoints.path)/\(proven)"
  }
}
