import Foundation
import Storage
import Tensors
import Training

/// A run as its folder tells of it, while a job writes there or after: each look reads what is new.
package struct RunView {
  package enum State: Sendable, Equatable {
    /// There is no run.
    case absent
    case running(RunLock.Holder?)
    /// The lock is there, and its job is gone, or has not touched it for so long.
    case silent(RunLock.Holder?, seconds: Int)
    /// No job writes there: all steps are done, or not.
    case finished, stopped

    /// Whether a job is there that may tell more.
    package var isAlive: Bool {
      if case .running = self { true } else { false }
    }
  }

  package let path: String
  package private(set) var state = State.absent
  package private(set) var figures = RunFigures()
  /// The newest line of `ranks.jsonl` of each rank.
  private var ranks: [Int: MetricsLine] = [:]
  /// The newest lines of the log, without their time and level.
  package private(set) var log: [String] = []
  /// What was wrong with the last line that could not be read.
  package private(set) var problem: String?
  private var schedule: (epochs: Int, maxSteps: Int)?, configured: FileIdentity?
  private var metrics: LineTail, rankTail: LineTail

  private static let mostRanks = 1 << 16

  package init(_ path: String) {
    self.path = path
    (metrics, rankTail) = (LineTail("\(path)/metrics.jsonl"), LineTail("\(path)/ranks.jsonl"))
  }

  // MARK: - A look

  /// - Parameter now: seconds since 1970.
  /// - Throws: `Failure.data` where a file of the run is there and cannot be read.
  package mutating func look(now: Double = Date().timeIntervalSince1970) throws {
    guard InputFile.size("\(path)/config.yaml") != nil else {
      self = RunView(path)
      return
    }
    var figures = figures, ranks = ranks, problem = problem
    func line(_ bytes: ArraySlice<UInt8>) -> MetricsLine? {
      guard !bytes.isEmpty else { return nil }
      do throws(MetricsLine.Malformed) { return try MetricsLine(bytes) } catch { problem = error.reason }
      return nil
    }
    try metrics.look(reset: { (figures, problem) = (RunFigures(), nil) }) { bytes in
      if let line = line(bytes) { figures.add(line) }
    }
    try rankTail.look(reset: { ranks = [:] }) { bytes in
      guard let line = line(bytes), let rank = line.count("rank"), rank < Self.mostRanks else { return }
      ranks[rank] = line
    }
    (self.figures, self.ranks, self.problem) = (figures, ranks, problem)
    // A run that goes on may have been given other settings, in another file.
    if case let found = FileIdentity("\(path)/config.yaml"), found != configured || schedule == nil {
      let configuration = try? Configuration.resolve(file: "\(path)/config.yaml")
      (configured, schedule) = (found, configuration.map { ($0.schedule.epochs, $0.schedule.maxSteps) })
    }
    log = Self.end(of: "\(path)/log.txt")
    state = state(now)
  }

  private func state(_ now: Double) -> State {
    let lock = "\(path)/lock"
    var status = stat()
    guard stat(lock, &status) == 0 else {
      return totalSteps.map { figures.step >= $0 } == true ? .finished : .stopped
    }
    let holder = RunLock.holder(lock), silence = Int(now) - status.st_mtim.tv_sec
    let isGone = holder.map { $0.host == Host.name && kill($0.process, 0) != 0 && errno == ESRCH } ?? false
    // Clocks of hosts differ.
    return isGone || silence > Int(6 * RunLock.touchSeconds)
      ? .silent(holder, seconds: max(0, silence)) : .running(holder)
  }

  /// The last lines of a log: what stands after time and level.
  private static func end(of path: String) -> [String] {
    guard let file = try? InputFile(path) else { return [] }
    var bytes = [UInt8](repeating: 0, count: min(1 << 13, file.size))
    guard (try? bytes.withUnsafeMutableBytes({ try file.read(into: $0, at: file.size - $0.count) })) != nil else {
      return []
    }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // The first may have lost its beginning, the last may not be written to its end.
    return lines.dropFirst(file.size > bytes.count ? 1 : 0).dropLast().map { line in
      let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
      return Printable.line(String(decoding: parts.count == 4 ? parts[3] : line, as: UTF8.self), limit: 500)
    }
  }

  // MARK: - What follows from it

  package var epochs: Int? { schedule?.epochs }

  /// Known before the second epoch where the log has the line of a step.
  private var stepsPerEpoch: Int? {
    figures.stepsPerEpoch ?? log.reversed().lazy.compactMap { Self.stepsPerEpoch(in: $0) }.first
  }

  /// Of a line of the log, where it is that of a step.
  static func stepsPerEpoch(in line: String) -> Int? {
    line.firstMatch(of: #/^epoch \d+/\d+  step \d+/(\d{1,9})  /#).flatMap { Int($0.1) }
  }

  package var totalSteps: Int? {
    guard let schedule else { return nil }
    let all = stepsPerEpoch.flatMap { steps -> Int? in
      let (all, isTooMuch) = schedule.epochs.multipliedReportingOverflow(by: steps)
      return isTooMuch ? nil : all
    }
    return schedule.maxSteps > 0 ? min(all ?? schedule.maxSteps, schedule.maxSteps) : all
  }

  /// Seconds that the rest of the steps takes.
  package var remaining: Double? {
    guard let totalSteps, let seconds = figures.secondsPerStep else { return nil }
    return Double(max(0, totalSteps - figures.step)) * seconds
  }

  /// What the ranks' time goes to, by rank; with one rank alone that of its last step.
  package var shares: [(rank: Int, host: String?, line: MetricsLine)] {
    if ranks.isEmpty { return figures.last.map { [(0, nil, $0)] } ?? [] }
    return ranks.sorted { $0.key < $1.key }.map { rank, line in
      if case .text(let host)? = line.value("host") { return (rank, host, line) }
      return (rank, nil, line)
    }
  }
}
