import Foundation
import Storage
import Tensors

/// What is said of a run in words, in frames and in lines alike.
extension RunView {
  var stateText: String {
    func place(_ holder: (host: String, process: Int32)?) -> String {
      holder.map { "on \(Printable.line($0.host, limit: 100)), process \($0.process)" } ?? "somewhere"
    }
    switch state {
    case .absent: return "no run there yet; waiting for it to begin"
    case .running(let holder): return "running \(place(holder.map { ($0.host, $0.process) }))"
    case .silent(let holder, let seconds):
      return "no sign of its job \(place(holder.map { ($0.host, $0.process) })) for \(seconds) s"
    case .finished: return "finished"
    case .stopped: return "not running, and not at its end"
    }
  }

  /// Step and epoch of how many, and how long the rest takes.
  var progressText: String {
    var words = ["step \(figures.step)" + (totalSteps.map { "/\($0)" } ?? "")]
    if let epoch = figures.last?.count("epoch") { words.append("epoch \(epoch)" + (epochs.map { "/\($0)" } ?? "")) }
    if state.isAlive, let remaining { words.append("eta \(Self.time(remaining))") }
    return words.joined(separator: "  ")
  }

  /// Loss with its terms, rate and throughput; nil before the first step.
  var stepText: String? {
    guard let last = figures.last else { return nil }
    let terms = figures.terms.map { "\(Printable.line($0.name, limit: 40)) \(Self.figure($0.value))" }
    var words = [
      "loss \(last["loss"].map(Self.figure) ?? "not finite")"
        + (terms.isEmpty ? "" : " (\(terms.joined(separator: " ")))")
    ]
    if let rate = last["learningRate"] { words.append(String(format: "lr %.1e", rate)) }
    if let rate = figures.imagesPerSecond { words.append(String(format: "%.1f images/s", rate)) }
    for (name, shown) in [("msgr", "R"), ("meanStrength", "mean λ")] {
      if let value = last[name] { words.append(String(format: "\(shown) %.2e", value)) }
    }
    if let skipped = last.count("skipped"), skipped > 0 { words.append("skipped \(skipped)") }
    return words.joined(separator: "  ")
  }

  static func text(of evaluation: RunFigures.Evaluation) -> String {
    let results = evaluation.results.map { result in
      (result.set.map { "\(Printable.line($0, limit: 40)) " } ?? "") + "mAP \(percent(result.mAP))"
        + (result.rank1.map { "  rank-1 \(percent($0))" } ?? "")
    }
    return "after \(evaluation.step) steps  \(results.joined(separator: "  "))"
  }

  // MARK: - Numbers

  static func percent(_ share: Double) -> String { String(format: "%.1f%%", 100 * share) }

  static func figure(_ value: Double) -> String {
    String(format: value.magnitude >= 1e5 || value != 0 && value.magnitude < 1e-3 ? "%.3g" : "%.3f", value)
  }

  /// Hours, minutes and seconds.
  static func time(_ seconds: Double) -> String {
    guard seconds < 1e9 else { return "for ever" }
    let seconds = Int(seconds.rounded())
    return String(format: "%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60)
  }
}

/// The shares of a step that are shown.
enum ShownShare: CaseIterable {
  case convolutions, collectives, gradients, images, other

  var name: String { "\(self)" }
  /// What a bar of it is made of.
  var block: Character {
    switch self {
    case .convolutions: "█"
    case .collectives: "▒"
    case .gradients: "▓"
    case .images: "░"
    case .other: "·"
    }
  }

  func of(_ line: MetricsLine) -> Double {
    func share(_ name: String) -> Double { min(1, max(0, line[name] ?? 0)) }
    switch self {
    case .convolutions: return share("convolutionShare")
    case .collectives: return share("collectiveShare")
    case .gradients: return share("reductionShare")
    case .images: return share("loadingShare")
    case .other: return max(0, 1 - Self.allCases.dropLast().reduce(0) { $0 + $1.of(line) })
    }
  }
}
