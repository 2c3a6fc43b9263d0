import Storage

/// What the lines of `metrics.jsonl` come to, in little memory however many there are.
package struct RunFigures: Sendable {
  package struct Evaluation: Sendable, Equatable {
    package struct Result: Sendable, Equatable {
      /// The data set; nil for the first one, whose name no field has.
      package let set: String?
      /// 0 to 1.
      package let mAP: Double, rank1: Double?
    }
    package let step: Int
    package let results: [Result]
  }

  /// The last step that is told of.
  package private(set) var last: MetricsLine?
  package private(set) var loss = Curve(), mAP = Curve()
  /// The newest ones.
  package private(set) var evaluations: [Evaluation] = []
  /// Of the first data set.
  package private(set) var best: (step: Int, mAP: Double)?
  /// Known from the second epoch on.
  package private(set) var stepsPerEpoch: Int?
  /// Seconds of the last steps.
  private var recent: [Double] = []

  private static let mostEvaluations = 100

  package init() {}

  /// A line without a step counts for nothing.
  package mutating func add(_ line: MetricsLine) {
    guard let step = line.count("step") else { return }
    guard line.isStep else { return add(evaluation: line, step) }
    if let epoch = line.count("epoch"), epoch > 1, let before = last?.count("epoch"), before == epoch - 1, step > 1 {
      stepsPerEpoch = (step - 1) / (epoch - 1)
    }
    if let value = line["loss"] { loss.add(value, step: step) }
    if let seconds = line["seconds"] {
      recent.append(seconds)
      if recent.count > 50 { recent.removeFirst() }
    }
    last = line
  }

  private mutating func add(evaluation line: MetricsLine, _ step: Int) {
    guard let figure = line["mAP"] else { return }
    mAP.add(figure, step: step)
    if figure > best?.mAP ?? -1 { best = (step, figure) }
    let others = line.fields.compactMap { field -> Evaluation.Result? in
      guard field.key.hasSuffix(".mAP"), let value = line[field.key] else { return nil }
      let set = String(field.key.dropLast(4))
      return .init(set: set, mAP: value, rank1: line["\(set).rank1"])
    }
    evaluations.append(
      Evaluation(step: step, results: [.init(set: nil, mAP: figure, rank1: line["rank1"])] + others))
    if evaluations.count > Self.mostEvaluations { evaluations.removeFirst() }
  }

  // MARK: - What follows from it

  package var step: Int { last?.count("step") ?? evaluations.last?.step ?? 0 }
  /// Of a step, the median of the last 50.
  package var secondsPerStep: Double? { recent.isEmpty ? nil : recent.sorted()[recent.count / 2] }
  package var imagesPerSecond: Double? {
    guard let images = last?["images"], let secondsPerStep, secondsPerStep > 0 else { return nil }
    return images / secondsPerStep
  }
  /// Terms of the loss, in their order: what stands between it and the learning rate.
  package var terms: [(name: String, value: Double)] {
    guard let last, let from = last.fields.firstIndex(where: { $0.key == "loss" }),
      let to = last.fields[from...].firstIndex(where: { $0.key == "learningRate" })
    else { return [] }
    return last.fields[(from + 1)..<to].compactMap { field in last[field.key].map { (field.key, $0) } }
  }
}
