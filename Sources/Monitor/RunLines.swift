import Tensors

/// A run in lines without any signs for a terminal: what is new since the last ones.
package struct RunLines {
  private var state: RunView.State?, step: Int?, evaluation: Int?, problem: String?

  package init() {}

  package mutating func next(_ view: RunView) -> [String] {
    var lines: [String] = []
    let isSame =
      switch (state, view.state) {
      case (.silent?, .silent): true  // only for longer
      default: state == view.state
      }
    if !isSame { lines.append("\(Printable.line(view.path)): \(view.stateText)") }
    state = view.state
    guard view.state != .absent else {
      (step, evaluation, problem) = (nil, nil, nil)
      return lines
    }
    for result in view.figures.evaluations where result.step > evaluation ?? -1 {
      lines.append("evaluation \(RunView.text(of: result))")
    }
    // A run that goes on from an earlier step tells of it again.
    evaluation = view.figures.evaluations.last?.step
    if let text = view.stepText, view.figures.step != step { lines.append("\(view.progressText)  \(text)") }
    step = view.figures.step
    if let found = view.problem, found != problem { lines.append("metrics.jsonl: a line \(Printable.line(found))") }
    problem = view.problem
    return lines
  }

  /// The shares of the ranks, a line each.
  package static func shares(_ view: RunView) -> [String] {
    view.shares.map { rank, host, line in
      let shares = ShownShare.allCases.map { "\($0.name) \(RunView.percent($0.of(line)))" }
      return "rank \(rank)" + (host.map { " on \(Printable.line($0, limit: 100))" } ?? "")
        + "  \(shares.joined(separator: "  "))"
    }
  }
}
