import Dataset
import Evaluation
import Foundation
import Storage
import Tensors

/// `RUN/`: `config.yaml` (resolved), `metrics.jsonl`, `log.txt`, `checkpoints/`; with `log.samples` `samples.jsonl`, with
/// adaptive L2 `strengths.jsonl`, with several ranks `ranks.jsonl`, with `log.tensorBoard` `tensorboard/`.
package final class RunFolder {
  package let path: String
  package let checkpoints: CheckpointFolder
  // On rank 0, after `open`.
  private var metrics: MetricsLog?
  private var ranks: MetricsLog?
  package private(set) var events: RunEvents?
  private var lock: RunLock?
  private var samples: OutputFile?
  private var strengths: MetricsLog?

  package init(path: String) {
    self.path = path
    checkpoints = CheckpointFolder(path: "\(path)/checkpoints")
  }

  package var logPath: String { "\(path)/log.txt" }
  package var configurationPath: String { "\(path)/config.yaml" }
  package var metricsPath: String { "\(path)/metrics.jsonl" }
  package var ranksPath: String { "\(path)/ranks.jsonl" }
  package var eventsPath: String { "\(path)/tensorboard" }

  /// How a job comes to a run's folder.
  package enum Beginning: Sendable, Equatable {
    /// With the first step; the folder may hold no checkpoints.
    case new
    /// With the first step; what the folder holds is put aside in it.
    case anew
    /// From the latest good checkpoint, or the first step where there is none yet.
    case resumed
    /// From this checkpoint.
    case from(String)
  }

  /// Makes the folder, takes its lock, and finds the checkpoint to go on from. On rank 0.
  /// - Parameter say: a line for the user.
  /// - Throws: `Failure.usage` where the folder holds checkpoints and the run is not to be resumed, lies among those of
  ///   another run, or where another job writes there; `Failure.data` where there are checkpoints and none is good.
  package func begin(_ beginning: Beginning, say: (String) -> Void) throws -> Checkpoint? {
    try requireFolderOfItsOwn()
    if beginning == .new, let name = checkpoints.holdsAnything {
      throw Failure.usage(
        path, "holds a run (\(name)); go on with --resume, begin anew with --restart or choose another --output")
    }
    try AtomicFiles.makeDirectory(path)
    lock = try RunLock(path, waiting: say)
    if beginning != .anew {
      try requireReplaceable()
      if InputFile.isFolder(checkpoints.path) { try AtomicFiles.cleanLeftovers(in: checkpoints.path) }
    }
    switch beginning {
    case .new:
      try putLinesAside(say)
      return nil
    case .anew:
      if let aside = try putAside() { say("what was in \(path) is now in \(aside)") }
      return nil
    case .from(let source):
      let checkpoint = try Checkpoint(path: source)
      let folder = URL(fileURLWithPath: checkpoint.folder).resolvingSymlinksInPath().deletingLastPathComponent().path
      if let name = checkpoints.holdsAnything,
        folder != URL(fileURLWithPath: checkpoints.path).resolvingSymlinksInPath().path
      {
        throw Failure.usage(path, "holds a run of its own (\(name)); --resume-from another needs another --output")
      }
      return checkpoint
    case .resumed:
      guard let (checkpoint, passedOver) = try checkpoints.toResume() else {
        say("\(path): no checkpoint yet, starting from the first step")
        try putLinesAside(say, keeping: ["config.yaml"])
        return nil
      }
      for problem in passedOver { say("passed over: \(problem)") }
      if !passedOver.isEmpty { say("going on from the newest good checkpoint: \(checkpoint.folder)") }
      return checkpoint
    }
  }

  /// Before anything is written on rank 0; nothing on the others.
  /// - Throws: `Failure.internal` where the lock, or the folder with it, is no longer this job's.
  func requireLock() throws { try lock?.requireHeld() }

  /// Puts what the folder holds aside where steps were made in it: their checkpoints may be somewhere else.
  private func putLinesAside(_ say: (String) -> Void, keeping kept: [String] = []) throws {
    guard InputFile.size(metricsPath) ?? 0 > 0, let aside = try putAside(keeping: kept + ["checkpoints"])
    else { return }
    say("what was in \(path) is now in \(aside)")
  }

  /// Moves all that the folder holds, but for the lock, into a new folder in it; nil where it holds nothing.
  private func putAside(keeping kept: [String] = []) throws -> String? {
    let names = try FileManager.default.contentsOfDirectory(atPath: path).filter {
      $0 != "lock" && !$0.hasPrefix("before-restart-") && !kept.contains($0)
    }
    guard !names.isEmpty else { return nil }
    let aside = (1...).lazy.map { "\(self.path)/before-restart-\($0)" }.first {
      !FileManager.default.fileExists(atPath: $0)
    }!
    do {
      try FileManager.default.createDirectory(atPath: aside, withIntermediateDirectories: false)
      for name in names { try FileManager.default.moveItem(atPath: "\(path)/\(name)", toPath: "\(aside)/\(name)") }
    } catch {
      throw Failure.internal(aside, "\(error.localizedDescription)")
    }
    return aside
  }

  /// Opens the logs of rank 0 and writes the configuration. Lines of steps after `step`, which a resumed run makes
  /// again, are removed first.
  /// - Parameter log: told of what is lost without ending the run.
  package func open(_ configuration: Configuration, afterStep step: Int, _ log: RunLog) throws {
    try AtomicFiles.write(try configuration.yaml(), to: configurationPath)
    for name in ["metrics.jsonl", "samples.jsonl", "strengths.jsonl", "ranks.jsonl"] {
      try MetricsLog.truncate("\(path)/\(name)", afterStep: step)
    }
    if configuration.log.tensorBoard { events = try RunEvents(eventsPath, from: max(0, step + 1), log) }
    metrics = try MetricsLog(path: metricsPath)
    if configuration.adaptiveL2.enabled { strengths = try MetricsLog(path: "\(path)/strengths.jsonl") }
    if configuration.log.samples {
      samples = try OutputFile("\(path)/samples.jsonl", flags: O_WRONLY | O_CREAT | O_APPEND)
    }
  }

  /// The evaluations up to `step` that `metrics.jsonl` tells of: a checkpoint is written before its own.
  func evaluations(upTo step: Int) throws -> [Checkpoint.State.Best] {
    struct Line: Decodable { let step: Int?, mAP: Double? }
    guard InputFile.size(metricsPath) != nil else { return [] }
    let bytes = try InputFile.read(metricsPath)
    return bytes.split(separator: UInt8(ascii: "\n")).compactMap { text in
      guard let line = try? JSONDecoder().decode(Line.self, from: Foundation.Data(text)), let mAP = line.mAP,
        let done = line.step, done <= step
      else { return nil }
      return .init(mAP: mAP, step: done)
    }
  }

  /// The fields of a step.
  func record(step: Int, _ fields: [(key: String, value: MetricValue)]) throws {
    try metrics?.append([("step", .integer(step))] + fields)
    events?.record(step: step, fields)
  }

  /// An evaluation after `step` steps.
  /// - Parameter results: of each data set by its name; the names of all but the first are in those of their fields.
  func record(
    evaluation step: Int, epoch: Int, _ results: [(set: String, fields: [(key: String, value: MetricValue)])],
    seconds: Double
  ) throws {
    let others = results.dropFirst().flatMap { set, fields in fields.map { (key: "\(set).\($0.key)", value: $0.value) }
    }
    try metrics?.append(
      [("step", .integer(step)), ("epoch", .integer(epoch))] + results[0].fields + others
        + [("seconds", .number(seconds))])
    for (set, fields) in results { events?.record(evaluation: step, of: set, fields) }
  }

  /// What the time of each rank went to, a line a rank.
  func record(_ step: Int, _ ranks: [(host: String, fields: [(key: String, value: MetricValue)])]) throws {
    if self.ranks == nil, metrics != nil { self.ranks = try MetricsLog(path: ranksPath) }
    for (rank, (host, fields)) in ranks.enumerated() {
      try self.ranks?.append([("step", .integer(step)), ("rank", .integer(rank)), ("host", .text(host))] + fields)
    }
  }

  /// λ of every regularized tensor after a step, by the tensor's name.
  package func record(_ step: Int, _ values: [(name: String, strength: Double)]) throws {
    try strengths?.append([("step", .integer(step))] + values.map { ($0.name, .number($0.strength)) })
  }

  /// The samples of a step, one object a line.
  package func record(_ step: Int, _ batch: [Sample]) throws {
    struct Line: Encodable {
      let step: Int, paths: [String], identities: [Int]
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line = Line(step: step, paths: batch.map(\.path), identities: batch.map(\.identity))
    try samples?.write(String(decoding: try encoder.encode(line), as: UTF8.self) + "\n")
  }
}

extension RunLog {
  /// What a weights file gave, and what it did not.
  func report(_ report: WeightsFile.Report, _ path: String) throws {
    guard !report.loaded.isEmpty else {
      throw Failure.data(
        path, "none of its tensors fits this network (torchvision's names, e.g. conv1.weight, and shapes)")
    }
    info("\(path): \(report.loaded.count) tensors loaded")
    if !report.missing.isEmpty {
      info("not in the file, freshly initialized: \(report.missing.joined(separator: ", "))")
    }
    if !report.unused.isEmpty { info("in the file, not used: \(report.unused.joined(separator: ", "))") }
    for (name, file, network) in report.mismatched {
      warning("\(name): shape \(file) in the file, \(network) here; freshly initialized")
    }
  }
}

extension Checkpoint {
  /// The checkpoint's configuration under these options. Throws where they ask for another network.
  package func configuration(file: String?, settings: [String]) throws -> Configuration {
    let configuration = try Configuration.resolve(file: file, settings: settings, base: state.configuration)
    let differences = try configuration.differences(from: state.configuration)
    if let other = differences.first(where: {
      $0.key.hasPrefix("model.") && !["model.weights", "model.allowMissing"].contains($0.key)
    }) {
      throw Failure.usage(folder, "\(other.key) is \(other.old) in this checkpoint, \(other.new) was asked for")
    }
    let tensors = differences.first { $0.key == "adaptiveL2.tensors" }
    if let tensors, configuration.adaptiveL2.enabled, state.configuration.adaptiveL2.enabled {
      throw Failure.usage(
        folder, "adaptiveL2.tensors is \(tensors.old) in this checkpoint, \(tensors.new) was asked for")
    }
    return configuration
  }

  /// Throws where the training identities are not those that the classifier was trained for.
  package func requireIdentities(_ classes: [Int: Int]) throws {
    guard state.identities != classes.keys.sorted() else { return }
    throw Failure.data(
      folder, "trained on \(state.identities.count) identities, this data set has \(classes.count) (or others)")
  }
}
