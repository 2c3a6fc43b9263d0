import Foundation
import Storage
import Tensors

/// The numbers of `metrics.jsonl`, in the order of their lines. The last line may be torn, where a job is writing it.
package struct RunHistory: Sendable {
  /// Lines of one kind, column by column: a run of months has millions of numbers.
  package struct Table: Sendable {
    /// Of each line.
    package private(set) var steps: [Int] = []
    /// By field; NaN where a line has none that is a number. (steps)
    private var columns: [String: [Double]] = [:]

    package var fields: some Sequence<String> { columns.keys }

    fileprivate mutating func append(_ line: MetricsLine, step: Int) {
      steps.append(step)
      for field in line.fields.map(\.key) {
        guard field != "step", let value = line[field] else { continue }
        let missing = steps.count - 1 - (columns[field]?.count ?? 0)
        columns[field, default: []] += [Double](repeating: .nan, count: missing) + [value]
      }
    }

    /// In the order of the lines, those without a value left out.
    package func values(_ field: String) -> [(step: Int, value: Double)] {
      zip(steps, columns[field] ?? []).filter { $0.1.isFinite }.map { ($0, $1) }
    }
  }

  package let path: String
  /// A line a step, and one an evaluation.
  package let steps: Table, evaluations: Table

  /// - Parameter folder: of the run.
  /// - Throws: `Failure.data` with the path, and the number of a line that is no object with a step.
  package init(run folder: String) throws {
    guard InputFile.isFolder(folder) else {
      throw Failure.data(folder, FileIdentity(folder) == nil ? "no such run" : "is no folder of a run")
    }
    path = folder
    let file = folder.hasSuffix("/") ? folder + "metrics.jsonl" : folder + "/metrics.jsonl"
    guard InputFile.size(file) != nil else { throw Failure.data(folder, "no run (no metrics.jsonl in it)") }
    var steps = Table(), evaluations = Table()
    try MetricsLine.read(try InputFile(file)) { _, step, line in
      if line["loss"] != nil || line["imagesPerSecond"] != nil { steps.append(line, step: step) }
      if line.fields.contains(where: { $0.key == "mAP" || $0.key.hasSuffix(".mAP") }) {
        evaluations.append(line, step: step)
      }
    }
    guard !steps.steps.isEmpty || !evaluations.steps.isEmpty else { throw Failure.data(file, "no step in it yet") }
    (self.steps, self.evaluations) = (steps, evaluations)
  }

  /// The data sets that evaluations are of: "" is the first, which has no name in the fields.
  package var testSets: [String] {
    let names = evaluations.fields.filter { $0 == "mAP" || $0.hasSuffix(".mAP") }
    return names.map { String($0.dropLast($0 == "mAP" ? 3 : 4)) }.sorted()
  }

  /// A field of the training steps, or of the evaluations where none of the steps has it, over `axis`.
  package func series(_ field: String, over axis: Axis) -> [Point] {
    let place = axis == .step ? { Double($0) } : epochs()
    let training = steps.values(field)
    return (training.isEmpty ? evaluations.values(field) : training).map { Point(place($0.step), $0.value) }
  }

  package enum Axis: String, CaseIterable, Sendable { case step, epoch }

  /// How many epochs are done after a step, fractions too.
  private func epochs() -> (Int) -> Double {
    // The last step of each epoch, with 0 before the first.
    var ends: [(epoch: Double, step: Int)] = [(0, 0)]
    for (step, epoch) in steps.values("epoch") {
      if ends.last!.epoch == epoch { ends[ends.count - 1].step = step } else { ends.append((epoch, step)) }
    }
    // The epoch under way is as long as the one before.
    if ends.count > 2, case let length = ends[ends.count - 2].step - ends[ends.count - 3].step,
      ends[ends.count - 1].step - ends[ends.count - 2].step < length
    {
      ends[ends.count - 1].step = ends[ends.count - 2].step + length
    }
    return { step in
      guard let after = ends.firstIndex(where: { $0.step >= step }) else { return ends.last!.epoch }
      guard after > 0 else { return 0 }
      let (low, high) = (ends[after - 1], ends[after])
      return low.epoch + (high.epoch - low.epoch) * Double(step - low.step) / Double(high.step - low.step)
    }
  }
}
