import Tensors

/// Training in stages, each of which tries settings and hands its best state on (Li, Shao, Niu and Xue, "Progressive Learning
/// Algorithm for Efficient Person Re-Identification", ICPR 2020; reconstructed from the abstract).
///
///     θ_t = the state of largest mAP on held-out identities among
///           train(θ_{t−1}, settings x), x = x_1 … x_n of stage t's own Gaussian process
///
/// What comes next follows from what has ended, so nothing else need be remembered of an interrupted search.
package struct ProgressiveSearch: Sendable {
  /// A trial to be made.
  package struct Plan: Sendable, Equatable, Codable {
    package let stage: Int, number: Int
    /// By key.
    package let values: [String: Double]
    /// The folder of the run whose last checkpoint it begins from; nil in stage 1.
    package let parent: String?
    /// Steps done at its end, those of the stages before among them.
    package let steps: Int

    package var folder: String { SearchTrial.folder(stage, number) }
  }

  package let space: SearchSpace
  package let dimensions: [SearchDimension]
  private let seed: UInt64

  package init(_ space: SearchSpace, seed: UInt64) {
    (self.space, dimensions, self.seed) = (space, space.dimensions, seed)
  }

  /// The trial after these; nil at the end of the search.
  /// - Throws: `Failure.data` where they are not the first of a search, `Failure.diverged` where a whole stage has diverged.
  package func next(after trials: [SearchTrial]) throws -> Plan? {
    for (index, trial) in trials.enumerated() {
      let (stage, number) = (index / space.trials + 1, index % space.trials + 1)
      guard trial.stage == stage, trial.number == number, stage <= space.stages else {
        throw Failure.data(
          "trials.jsonl", "line \(index + 1) is trial \(trial.number) of stage \(trial.stage), which does not come next"
        )
      }
    }
    let stage = trials.count / space.trials + 1
    guard stage <= space.stages else { return nil }
    let own = trials.filter { $0.stage == stage }, parent = try stage == 1 ? nil : best(of: stage - 1, trials)
    let proposals = Proposals(
      dimensions: dimensions.count, initial: min(space.initial, space.trials), seed: seed, stream: stage)
    let point = proposals.next(after: own.map(point), own.map(\.mAP)) { units in
      zip(dimensions, units).map { $0.unit($0.value($1)) }
    }
    let values = zip(dimensions, point).map { ($0.key, $0.value($1)) }
    return Plan(
      stage: stage, number: own.count + 1, values: Dictionary(uniqueKeysWithValues: values), parent: parent?.folder,
      steps: stage * space.steps)
  }

  /// The first of the largest mAP.
  package func best(of stage: Int, _ trials: [SearchTrial]) throws -> SearchTrial {
    var best: SearchTrial?
    for trial in trials where trial.stage == stage {
      if let mAP = trial.mAP, mAP > best?.mAP ?? -1 { best = trial }
    }
    guard let best else {
      throw Failure(.diverged, "all trials of stage \(stage) diverged; smaller values in the space file may help")
    }
    return best
  }

  private func point(_ trial: SearchTrial) -> [Double] {
    dimensions.map { dimension in trial.values[dimension.key].map(dimension.unit) ?? 0 }
  }

  /// The settings of a plan, as `--set` takes them. Where the images of an identity are varied alone, the batch of `base` stays
  /// as large as it is, or little smaller: P = ⌊B/K⌋.
  package func settings(_ values: [String: Double], steps: Int, _ base: Configuration) -> [String] {
    var settings = dimensions.compactMap { dimension in values[dimension.key].map(dimension.setting) }
    if let images = values["sampling.images"], values["sampling.identities"] == nil, images >= 1 {
      let batch = base.sampling.identities * base.sampling.images
      settings.append("sampling.identities=\(max(1, batch / Int(images)))")
    }
    // An epoch has a step or more.
    return settings + [
      "schedule.epochs=\(min(ConfigurationSection.mostEpochs, steps))", "schedule.maxSteps=\(steps)",
    ]
  }

  /// The settings at both ends of every range, for a look at whether a configuration takes them.
  package func ends(_ base: Configuration) -> [[String]] {
    [0.0, 1.0].map { end in
      let values = dimensions.map { ($0.key, $0.value(end)) }
      return settings(Dictionary(uniqueKeysWithValues: values), steps: space.stages * space.steps, base)
    }
  }

  /// The mAP that the run in `folder` ended with, to 10⁻⁹: ranks add up queries in another order, and trials that are equal must
  /// stay so.
  /// - Throws: `Failure.data` where it was not evaluated after `steps`.
  package static func mAP(of folder: String, after steps: Int) throws -> Double {
    guard let last = try RunFolder(path: folder).evaluations(upTo: steps).last(where: { $0.step == steps }) else {
      throw Failure.data("\(folder)/metrics.jsonl", "tells of no evaluation after step \(steps)")
    }
    return (last.mAP * 1e9).rounded() / 1e9
  }
}
