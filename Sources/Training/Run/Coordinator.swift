import Collectives
import Dataset
import Tensors

/// Rank 0's part of a step and every rank's ear for it: draws batches and broadcasts plans (see `StepPlan`).
package final class Coordinator {
  package let stepsPerEpoch: Int, totalSteps: Int
  private let sampler: SetSampler
  private let schedule: Schedule
  private let training: [Sample]
  private let communicator: any Communicator
  /// The batch that was announced for the coming step.
  private var announced: AnnouncedBatch?

  /// - Parameter sizes: how many of `training` each data set has; nil for one alone.
  package init(
    _ training: [Sample], sizes: [Int]? = nil, _ configuration: Configuration, _ communicator: any Communicator
  ) throws {
    let sampling = configuration.sampling
    sampler = try SetSampler(
      samples: training, sizes: sizes ?? [training.count], share: sampling.sets, identities: sampling.identities,
      images: sampling.images, scheme: sampling.scheme,
      seed: configuration.seed)
    stepsPerEpoch = sampler.batchesPerEpoch
    schedule = Schedule(configuration)
    totalSteps = schedule.totalSteps(stepsPerEpoch)
    self.training = training
    self.communicator = communicator
  }

  /// Before the first step of a run (or of a resumed one): the batch of `step`.
  package func announce(step: Int) throws -> AnnouncedBatch? {
    announced = try AnnouncedBatch.received(draw(step)?.words ?? [], communicator)
    try requireKnown(announced)
    return announced
  }

  /// Whether the trunk stands still in `step`.
  package func freezesTrunk(step: Int) -> Bool { schedule.freezesTrunk(step: step, stepsPerEpoch: stepsPerEpoch) }

  /// The plan of `step`. Throws where this rank's data set or loss scale is not rank 0's.
  package func plan(step: Int, lossScale: Double) throws -> (plan: StepPlan, batch: AnnouncedBatch) {
    let batch = announced!
    let digest = batch.digest(training)
    let epoch = step / stepsPerEpoch, index = step % stepsPerEpoch
    let own = StepPlan(
      step: step, epoch: epoch, index: index,
      learningRate: schedule.learningRate(epoch: epoch, step: index, stepsPerEpoch: stepsPerEpoch),
      lossScale: lossScale,
      digest: digest, next: communicator.isCoordinator ? draw(step + 1) : nil)
    let plan = StepPlan(words: try communicator.broadcast(words: own.words))
    guard plan.step == step, plan.digest == digest else {
      throw Failure.data(
        "step \(step + 1): the training images here are not those of rank 0 (other files or another order)")
    }
    guard plan.lossScale == lossScale else {
      throw Failure.internal("step \(step + 1): loss scale \(lossScale) here, \(plan.lossScale) on rank 0")
    }
    announced = plan.next
    try requireKnown(announced)
    return (plan, batch)
  }

  /// Before a batch goes to the loader, and so before its digest is looked at.
  private func requireKnown(_ batch: AnnouncedBatch?) throws {
    guard let index = batch?.samples.first(where: { !training.indices.contains($0) }) else { return }
    throw Failure.data("training image \(index) of rank 0 is not there: \(training.count) images here")
  }

  /// The batch of a step; drawn on rank 0 only.
  private func draw(_ step: Int) -> AnnouncedBatch? {
    guard communicator.isCoordinator, step < totalSteps else { return nil }
    let epoch = step / stepsPerEpoch, index = step % stepsPerEpoch
    let samples = sampler.batch(epoch: epoch, index: index)
    return AnnouncedBatch(epoch: epoch, firstPosition: index * samples.count, samples: samples)
  }
}

extension AnnouncedBatch {
  fileprivate static func received(_ words: [UInt64], _ communicator: any Communicator) throws -> AnnouncedBatch? {
    let words = try communicator.broadcast(words: words)
    return words.isEmpty ? nil : AnnouncedBatch(words: words)
  }
}

extension Communicator {
  /// Rank 0's words on every rank.
  fileprivate func broadcast(words: [UInt64]) throws -> [UInt64] {
    let bytes = try broadcast(words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } })
    return stride(from: 0, to: bytes.count, by: 8).map { start in
      bytes[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }
}
