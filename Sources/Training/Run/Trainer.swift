import Collectives
import Dataset
import Evaluation
import Foundation
import Layers
import Losses
import Network
import Storage
import Tensors

/// The training loop of one rank: steps, evaluations and checkpoints from where the run stands to its end.
package final class Trainer<E: Element> {
  private let configuration: Configuration
  private let data: RunData
  private let context: Context<E>
  private let step: TrainingStep<E>
  private let coordinator: Coordinator
  private let milestones: Milestones
  private let classes: [Int: Int]
  /// Of the training cameras likewise.
  private let cameras: [Int: Int]
  private let loader: BatchLoader
  private let checkpointer: Checkpointer<E>
  private let run: RunFolder
  private let log: RunLog
  private var trace: StepTrace?
  private var done = 0
  /// Steps that this process has made.
  private var made = 0
  private var best: Checkpoint.State.Best?
  /// The steps of the evaluations of the run so far; on rank 0.
  private var evaluated: Set<Int> = []
  private var damages: DamageCount
  private var pace = Pace()
  private var ranks = RankTimes()
  /// The evaluations of this process, with the steps done before each.
  private var evaluations: [(step: Int, result: RankingResult)] = []

  /// So many skipped steps in a row, and a run that is asked to stop no longer waits for one that counts.
  private static var skippedStepsToWait: Int { 4 }

  private var timeline: Timeline { context.workers.timeline }
  private var communicator: any Communicator { context.communicator }

  /// How a run ended.
  package enum Outcome: Sendable { case finished, stopped }

  /// Everything but the first step; every rank calls it alike.
  package init(
    _ configuration: Configuration, _ data: RunData, _ machine: Machine, _ run: RunFolder, _ log: RunLog,
    resuming checkpoint: Checkpoint?, trace: StepTrace? = nil
  ) throws {
    self.configuration = configuration
    self.data = data
    (self.run, self.log, self.trace) = (run, log, trace)
    context = machine.context(E.self, configuration)
    classes = Sample.classes(of: data.train)
    cameras = Sample.cameraClasses(of: data.train)
    loader = BatchLoader(
      threads: configuration.data.loaderThreads, seed: configuration.seed, timeline: machine.workers.timeline)
    coordinator = try machine.communicator.agree { [classes, cameras] in
      try configuration.model.requireGroups(identities: classes.count, cameras: cameras.count)
      return try Coordinator(data.train, sizes: data.sizes, configuration, machine.communicator)
    }
    let network = ReIDNetwork<E>(Architecture(configuration.model, identities: classes.count, cameras: cameras.count))
    milestones = Milestones(
      configuration, totalSteps: coordinator.totalSteps, stepsPerEpoch: coordinator.stepsPerEpoch,
      hasTest: !data.tests.isEmpty)
    let parameters = network.initialized(configuration.model.initialization, seed: configuration.seed, machine.workers)
    let step = try TrainingStep(network, parameters, configuration, context)
    self.step = step
    checkpointer = Checkpointer(
      run, step, identities: classes.keys.sorted(),
      cameras: configuration.model.heads.contains { $0.label == .camera } ? cameras.keys.sorted() : nil,
      configuration, context, log, resuming: checkpoint)
    damages = DamageCount(
      of: min(coordinator.stepsPerEpoch, coordinator.totalSteps)
        * Share.batch(configuration.sampling.identities * configuration.sampling.images, machine.communicator).count)
    try machine.communicator.agree { [classes] in
      if let checkpoint {
        try checkpoint.requireIdentities(classes)
        try checkpoint.restore(into: step)
      } else if let path = configuration.model.weights {
        let report = try WeightsFile.load(try WeightsFile.open(path), into: network, parameters)
        try log.report(report, path)
        try report.requireTrunk(of: network, allowed: configuration.model.allowMissing, path)
        if report.lacksGains { network.fit(parameters, context.workers) }
        step.average?.reset(to: parameters)
      }
    }
    var agreement = Agreement()
    agreement.add("the network's parameters (SHA-256)", try step.digest(), .data)
    try agreement.settle(machine.communicator)
    if let checkpoint { (done, best) = (checkpoint.state.step, checkpoint.state.best) }
    try machine.communicator.agree {
      guard machine.communicator.isCoordinator, checkpoint != nil else { return }
      for evaluation in try run.evaluations(upTo: done) {
        evaluated.insert(evaluation.step)
        if evaluation.step > 0, evaluation.mAP > best?.mAP ?? -1 { best = evaluation }
      }
    }
  }

  deinit { loader.close() }

  /// Trains to the last epoch, or to the step at which any rank is asked to stop.
  ///
  /// What has been computed is saved before it is judged: a checkpoint is written before the evaluation of its step, and a
  /// run that ends between the two is evaluated when it goes on.
  package func train() throws -> Outcome {
    if try isEvaluationDue() {
      if done > 0 { try checkpointer.save(done, best: best) }
      if try !evaluate() { return stopped() }
    }
    if done >= coordinator.totalSteps {
      if made == 0 { log.info("nothing to do: \(done) of \(coordinator.totalSteps) steps are done") }
      return .finished
    }
    if let first = try coordinator.announce(step: done) { submit(first) }
    var isSaveDue = false
    while done < coordinator.totalSteps {
      let stop = try trainStep()
      let isLast = done == coordinator.totalSteps, skipped = step.lossScale.skippedInARow
      isSaveDue = isSaveDue || stop || milestones.saves(after: done)
      // While steps are being skipped nothing changes, and what there is may be lost already: the last checkpoint stays until
      // a step counts. A run whose last step only tried a grown loss scale is saved all the same (`judgeSkipped`).
      if isLast || isSaveDue && skipped == 0 {
        try checkpointer.save(done, best: best)
        isSaveDue = false
      }
      if stop {
        // A step or two tell whether what there is can be saved.
        let isWaiting = checkpointer.hasProgress && 1..<Self.skippedStepsToWait ~= skipped
        if isWaiting { continue }
        return stopped()
      }
      if milestones.evaluates(after: done), try !evaluate() { return stopped() }
    }
    summarize()
    return .finished
  }

  private func stopped() -> Outcome {
    if checkpointer.isSaved {
      log.info("asked to stop: checkpointed after step \(done)")
    } else {
      let latest = run.checkpoints.latest.map { "the latest checkpoint is \(run.checkpoints.path)/\($0)" }
      log.info(
        "asked to stop: nothing new to save after step \(done); \(latest ?? "there is no checkpoint yet")")
    }
    return .stopped
  }

  /// Before the first step of this process: whether the evaluation of where the run stands has not been made.
  private func isEvaluationDue() throws -> Bool {
    let isWanted = milestones.evaluates(after: done)
    // Rank 0 has the run's folder.
    var due = [0.0]
    if communicator.isCoordinator && isWanted && !evaluated.contains(done) { due = [1] }
    try communicator.allreduce(&due, .max)
    return due[0] > 0
  }

  /// The last lines of a finished run.
  private func summarize() {
    guard communicator.isCoordinator else { return }
    log.info("")
    log.info("                       mAP   Rank-1")
    for (step, result) in evaluations {
      let name = step == 0 ? "before training" : "after \(step) steps"
      log.info(
        name.padding(toLength: 18, withPad: " ", startingAt: 0)
          + String(format: "%7.1f%%  %6.1f%%", 100 * result.mAP, 100 * result.rank1))
    }
    log.info(String(format: "%.1f images/s (median)", Double(batchSize) / pace.median))
    log.info("run          \(run.path): config.yaml, metrics.jsonl, log.txt")
    if let latest = run.checkpoints.latest { log.info("checkpoint   \(run.checkpoints.path)/\(latest)") }
  }

  private var batchSize: Int { configuration.sampling.identities * configuration.sampling.images }

  /// One step; whether any rank has been asked to stop.
  private func trainStep() throws -> Bool {
    let traces = trace != nil && (made == StepTrace.step - 1 || done == coordinator.totalSteps - 1)
    if traces { try communicator.barrier() }
    _ = timeline.take()
    timeline.begin("plan", step: done + 1)
    let start = Timeline.now, waitedBefore = loader.secondsWaited
    let (plan, announced) = try coordinator.plan(step: done, lossScale: step.lossScale.scale)
    if let next = plan.next { submit(next) }
    let loaded = timeline.measure(.loading, "images") { Result { try loader.next() } }
    let batch = try communicator.agree {
      let batch = try loaded.get()
      try damages.add(batch, epoch: plan.epoch)
      return batch
    }
    for damage in batch.damaged { log.warning("skipped \(damage.reason)") }
    let result = try step.run(
      batch, labels: RowLabels(batch, classes, cameras), step: done, learningRate: plan.learningRate,
      freezesTrunk: coordinator.freezesTrunk(step: done))
    (done, made) = (done + 1, made + 1)
    try communicator.agree {
      try run.requireLock()
      guard result.loss.rows > 0 else {
        throw Failure.data("step \(done): none of the \(announced.samples.count) images of the batch can be read")
      }
      try checkpointer.stepped(counted: result.skippedFor == nil)
    }
    var stop = [StopSignal.isRequested ? 1.0 : 0]
    try communicator.allreduce(&stop, .max)
    if let name = result.skippedFor { try judgeSkipped(name, result) }
    let seconds = Double(Timeline.now - start) * 1e-9, spans = timeline.take()
    let shares = StepShares(spans, seconds: seconds)
    ranks.add(shares, seconds: seconds)
    if done % RankTimes.steps == 0 || done == coordinator.totalSteps, let times = try ranks.take(communicator) {
      try run.record(done, times)
    }
    try record(
      plan, announced, result, seconds: seconds, waited: loader.secondsWaited - waitedBefore,
      shares)
    if made == 1 { run.events?.show(batch, step: done) }
    if let trace, traces {
      try trace.write(spans, since: start, communicator)
      log.info("trace of step \(done): \(trace.path)")
      self.trace = nil
    }
    return stop[0] > 0
  }

  /// Says that a step was skipped for the tensor `name`; throws, on every rank alike, where the run has diverged, or ends
  /// without anybody knowing whether it has.
  private func judgeSkipped(_ name: String, _ result: StepResult) throws {
    let row = step.lossScale.skippedInARow, line = "step \(done): \(name) is not finite"
    let isLast = done == coordinator.totalSteps, isFresh = step.optimizer.steps == 0
    if isLast && isFresh {
      throw try checkpointer.diverged(
        "\(line) at loss scale \(result.lossScale), and no step has counted: there is nothing to save",
        advice: "more steps or a lower lossScale.initial may help")
    }
    if row >= configuration.divergence.skippedSteps || isLast && row > 1 {
      throw try checkpointer.diverged("\(line) (\(row) steps in a row)")
    }
    if !result.loss.total.isFinite && result.lossScale <= 1 {
      throw try checkpointer.diverged("\(line) (the loss at loss scale 1)")
    }
    // No loss scale helps a loss that is not finite; only the regularizer's part depends on it.
    if isLast && !result.loss.termsAreFinite {
      throw try checkpointer.diverged("\(line) (the loss of the last step)")
    }
    // A fresh loss scale settles, and a grown one is tried: neither is anything to worry about.
    let skipped = "step \(done) skipped: \(name) is not finite at loss scale \(result.lossScale)"
    if isFresh || row == 1 {
      log.info("\(skipped), which is halved")
    } else {
      log.warning("\(skipped); \(row) steps in a row")
    }
  }

  /// Hands this rank's share of a batch to the loader.
  private func submit(_ batch: AnnouncedBatch) {
    loader.submit(
      BatchRequest(batch, of: data.train, Share.batch(batch.samples.count, communicator), configuration))
  }

  private func record(
    _ plan: StepPlan, _ batch: AnnouncedBatch, _ result: StepResult, seconds: Double, waited: Double,
    _ shares: StepShares
  ) throws {
    guard communicator.isCoordinator else { return }
    pace.add(seconds)
    let rate = Double(result.loss.rows) / seconds
    var fields: [(key: String, value: MetricValue)] = [("epoch", .integer(plan.epoch + 1))]
    fields += result.lossFields
    fields += [
      ("learningRate", .number(plan.learningRate)), ("lossScale", .number(result.lossScale)),
      ("skipped", .integer(step.lossScale.skipped)), ("images", .integer(result.loss.rows)),
      ("damaged", .integer(batch.samples.count - result.loss.rows)), ("seconds", .number(seconds)),
      ("imagesPerSecond", .number(rate)), ("secondsWaitedForImages", .number(waited)),
    ]
    fields += shares.fields + result.regularizerFields(step.penalty?.adaptive.strengths.map(\.strength))
    try run.record(step: done, fields)
    if let tangents = result.tangents { log.debug("step \(done): \(tangents.summary)") }
    if let penalty = step.penalty, done % coordinator.stepsPerEpoch == 0 || done == coordinator.totalSteps {
      try run.record(done, penalty.adaptive.strengths)
    }
    if configuration.log.samples { try run.record(done, batch.samples.map { data.train[$0] }) }
    guard done % configuration.log.everySteps == 0 || done == coordinator.totalSteps else { return }
    let loss = result.loss, index = plan.index + 1
    // The log has said why; there are no numbers to show.
    if result.skippedFor != nil && !loss.total.isFinite { return }
    let line = String(
      format: "epoch %d/%d  step %d/%d  loss %.3f (%@)  lr %.1e  %.1f img/s  eta %@", plan.epoch + 1,
      configuration.schedule.epochs, index, coordinator.stepsPerEpoch, loss.total, loss.summary,
      plan.learningRate, rate, pace.remaining(coordinator.totalSteps - done))
    log.step(line, done: Double(index) / Double(coordinator.stepsPerEpoch))
  }

  /// Ranks the galleries; false where any rank is asked to stop meanwhile.
  private func evaluate() throws -> Bool {
    timeline.begin("evaluation")
    try step.settle()
    let outcomes: [Evaluator.Outcome]
    do {
      outcomes = try zip(data.names, data.tests).map { name, dataset in
        try Evaluator.run(
          dataset, step.network, step.average?.parameters ?? step.parameters, configuration, context,
          isStopping: { StopSignal.isRequested }, announce: log.announce,
          looking: { query, gallery in
            guard name == self.data.names[0] else { return }
            self.run.events?.show(query, gallery, of: dataset, named: name, step: self.done, self.configuration) {
              self.timeline.beat()
            }
          })
      }
    } catch is ExtractionStopped {
      return false
    } catch let features as NonfiniteFeatures {
      throw try checkpointer.diverged("the evaluation after step \(done): \(features)")
    }
    for outcome in outcomes {
      for reason in outcome.damaged { log.warning("left out of the evaluation: \(reason)") }
      if communicator.isCoordinator { for warning in outcome.warnings { log.warning(warning) } }
    }
    let result = outcomes[0].plain
    evaluations.append((done, result))
    let isBest = done > 0 && result.mAP > best?.mAP ?? -1
    if isBest { best = .init(mAP: result.mAP, step: done) }
    try communicator.agree {
      guard communicator.isCoordinator else { return }
      try run.requireLock()
      try record(outcomes)
      if isBest { try checkpointer.markBest(done) }
    }
    return true
  }

  private func record(_ outcomes: [Evaluator.Outcome]) throws {
    let seconds = outcomes.reduce(0) { $0 + $1.seconds }, images = outcomes.reduce(0) { $0 + $1.images }
    log.info("evaluation after \(done) steps, \(images) images in \(String(format: "%.1f", seconds)) s")
    for (name, outcome) in zip(data.names, outcomes) {
      log.result(outcome.scores, of: outcomes.count > 1 ? name : nil, as: configuration.log.results)
    }
    // The epoch under way, counted as the lines of its steps count it.
    let epoch = (done + coordinator.stepsPerEpoch - 1) / coordinator.stepsPerEpoch
    try run.record(
      evaluation: done, epoch: epoch, zip(data.names, outcomes).map { ($0, $1.scores.fields) }, seconds: seconds)
  }
}
