import Foundation
import Storage
import Tensors

/// One trial of a search that has ended.
package struct SearchTrial: Sendable, Equatable, Codable {
  /// From 1 on.
  package let stage: Int, number: Int
  /// By key.
  package let values: [String: Double]
  /// mAP on the identities held out; nil where the trial diverged.
  package let mAP: Double?

  package init(stage: Int, number: Int, values: [String: Double], mAP: Double?) {
    (self.stage, self.number, self.values, self.mAP) = (stage, number, values, mAP)
  }

  /// Below the search's folder.
  package var folder: String { Self.folder(stage, number) }

  package static func folder(_ stage: Int, _ number: Int) -> String { "stage-\(stage)/trial-\(number)" }
}

/// `trials.jsonl`: the trials of a search in their order, an object a line with `stage`, `trial`, every key that is varied,
/// `mAP` (null where the trial diverged) and the `seconds` that it took.
package final class TrialsFile {
  package private(set) var trials: [SearchTrial]
  private let log: MetricsLog
  private let dimensions: [SearchDimension]

  /// Reads what is there; a torn last line goes.
  /// - Throws: `Failure.data` with file and line where it is not a list of trials of these keys.
  package init(_ path: String, _ dimensions: [SearchDimension]) throws {
    log = try MetricsLog(path: path)
    let names = dimensions.map(\.key)
    trials = try InputFile.read(path).split(separator: UInt8(ascii: "\n")).enumerated().map { index, line in
      let numbers = try? JSONDecoder().decode([String: Double?].self, from: Data(line))
      guard let numbers, let stage = numbers["stage"].flatMap({ $0 }).flatMap(Int.init(exactly:)),
        let number = numbers["trial"].flatMap({ $0 }).flatMap(Int.init(exactly:)), stage > 0, number > 0,
        let mAP = numbers["mAP"]
      else { throw Failure.data(path, "line \(index + 1) is no trial: an object with stage, trial and mAP") }
      let values = names.compactMap { name in numbers[name].flatMap { $0 }.map { (name, $0) } }
      guard values.count == names.count else {
        throw Failure.data(path, "line \(index + 1) is of other keys than \(names.joined(separator: ", "))")
      }
      return SearchTrial(
        stage: stage, number: number, values: Dictionary(uniqueKeysWithValues: values), mAP: mAP)
    }
    self.dimensions = dimensions
  }

  package func append(_ trial: SearchTrial, seconds: Double) throws {
    let values = dimensions.compactMap { dimension in
      trial.values[dimension.key].map { (key: dimension.key, value: MetricValue.number($0)) }
    }
    try log.append(
      [("stage", .integer(trial.stage)), ("trial", .integer(trial.number))] + values
        + [("mAP", trial.mAP.map { .number($0) } ?? .null), ("seconds", .number(seconds))])
    trials.append(trial)
  }
}
