import Foundation
import Tensors

/// A picture of a run in characters, as high and wide as a terminal.
package struct RunFrame {
  private let view: RunView
  private let width: Int, height: Int

  /// - Parameters:
  ///   - width: characters of a line, no less than 20.
  ///   - height: lines, at most.
  package init(_ view: RunView, width: Int, height: Int) {
    (self.view, self.width, self.height) = (view, max(20, width), max(1, height))
  }

  /// - Parameter inks: whether with a terminal's sequences for colours.
  package func lines(inks: Bool) -> [String] { all.prefix(height).map { $0.cut(width).text(inks: inks) } }

  private var all: [FrameLine] {
    let head = head
    guard view.state != .absent else { return head }
    // What stands below the curves gets what they leave of a low terminal: first the log goes, then evaluations and ranks.
    var below = [shares, evaluations, log].filter { !$0.isEmpty }
    let least = 6
    while !below.isEmpty, head.count + least + below.reduce(0, { $0 + $1.count + 1 }) > height { below.removeLast() }
    let left = height - head.count - below.reduce(0) { $0 + $1.count + 1 } - 1
    return head + curves(min(left, 24)) + below.flatMap { [FrameLine()] + $0 }
  }

  private var head: [FrameLine] {
    let name = view.path.split(separator: "/").last.map { Printable.line(String($0), limit: 100) } ?? view.path
    let ink: FrameLine.Ink
    switch view.state {
    case .running, .finished: ink = .green
    case .silent, .stopped: ink = .yellow
    case .absent: ink = .dim
    }
    var lines = [FrameLine(name, .bold) + FrameLine("  ") + FrameLine(view.stateText, ink)]
    guard view.state != .absent else { return lines }
    var progress = FrameLine(view.progressText)
    if let total = view.totalSteps, total > 0, case let room = min(40, width - progress.count - 2), room > 7 {
      let share = min(1, Double(view.figures.step) / Double(total)), bar = room - 6, done = Int(share * Double(bar))
      progress =
        progress + FrameLine("  ") + FrameLine(String(repeating: "━", count: done), .green)
        + FrameLine(String(repeating: "·", count: bar - done), .dim)
        + FrameLine(String(format: " %3.0f%%", 100 * share))
    }
    lines.append(progress)
    if let step = view.stepText { lines.append(FrameLine(step)) }
    if let problem = view.problem {
      lines.append(FrameLine("metrics.jsonl: a line \(Printable.line(problem, limit: 200))", .red))
    }
    return lines
  }

  // MARK: - Curves

  /// Loss and mAP, beside each other where there is room.
  private func curves(_ room: Int) -> [FrameLine] {
    let hasMAP = view.figures.mAP.steps != nil
    guard room >= 4, view.figures.loss.steps != nil || hasMAP else { return [] }
    let loss = { (width: Int, height: Int) in curve("loss", view.figures.loss, width, height, { RunView.figure($0) }) }
    let mAP = { (width: Int, height: Int) in
      curve("mAP", view.figures.mAP, width, height, { RunView.percent($0) }, best: view.figures.best)
    }
    if !hasMAP { return [FrameLine()] + loss(width, room - 1) }
    if width < 80 {
      return room < 10
        ? [FrameLine()] + loss(width, room - 1)
        : [FrameLine()] + loss(width, (room - 1) / 2) + mAP(width, room - 1 - (room - 1) / 2)
    }
    let half = (width - 3) / 2
    return [FrameLine()]
      + zip(loss(half, room - 1), mAP(half, room - 1)).map { $0.padded(half) + FrameLine("   ") + $1 }
  }

  /// A line of heading, `height` − 2 of the curve with its ends beside it, and one of steps.
  private func curve(
    _ name: String, _ curve: Curve, _ width: Int, _ height: Int, _ label: (Double) -> String,
    best: (step: Int, mAP: Double)? = nil
  ) -> [FrameLine] {
    guard let steps = curve.steps, height > 2 else { return [FrameLine](repeating: FrameLine(), count: max(0, height)) }
    let margin = 9, columns = max(4, width - margin), values = curve.sampled(2 * columns)
    let range = values.min()!...values.max()!
    var heading = FrameLine(name, .bold)
    if let best { heading = heading + FrameLine("  best \(label(best.mAP)) after \(best.step) steps", .dim) }
    let rows = BrailleCurve.lines(values, width: columns, height: height - 2, range: range)
    func beside(_ text: String) -> FrameLine {
      FrameLine(String(repeating: " ", count: max(0, margin - 1 - text.count)) + text.prefix(margin - 1) + " ", .dim)
    }
    let first = "\(steps.lowerBound)", last = "\(steps.upperBound)"
    let gap = String(repeating: " ", count: max(1, columns - first.count - last.count))
    return [heading]
      + rows.enumerated().map { index, row in
        let end = index == 0 ? label(range.upperBound) : index == rows.count - 1 ? label(range.lowerBound) : ""
        return beside(end) + FrameLine(row, .cyan)
      } + [beside("step") + FrameLine(first + gap + last, .dim)]
  }

  // MARK: - Below them

  private var shares: [FrameLine] {
    let all = view.shares
    guard !all.isEmpty else { return [] }
    // Who computes longest is whom the others wait for.
    let most = max(1, min(8, height / 4))
    let shown =
      all.count <= most
      ? all
      : Array(all.sorted { ShownShare.convolutions.of($0.line) > ShownShare.convolutions.of($1.line) }.prefix(most))
    let names = shown.map { share in
      all.count == 1 ? "rank 0" : "rank \(share.rank) \(Printable.line(share.host ?? "", limit: 16))"
    }
    let column = (names.map(\.count).max() ?? 0) + 2
    let legend = ShownShare.allCases.map { "\($0.block) \($0.name)" }.joined(separator: "  ")
    let heading =
      FrameLine("time".padding(toLength: column, withPad: " ", startingAt: 0), .bold) + FrameLine(legend, .dim)
    let bar = max(10, min(60, width - column - 2))
    var lines = [heading]
    for (name, share) in zip(names, shown) {
      var text = "", ends = 0.0
      for part in ShownShare.allCases {
        ends += part.of(share.line)
        let end = part == .other ? bar : Int((min(1, ends) * Double(bar)).rounded())
        text += String(repeating: part.block, count: max(0, end - text.count))
      }
      lines.append(FrameLine(name).padded(column) + FrameLine(text))
    }
    if shown.count < all.count {
      lines.append(FrameLine("and \(all.count - shown.count) more ranks, which compute less", .dim))
    }
    return lines
  }

  private var evaluations: [FrameLine] {
    let newest = view.figures.evaluations.suffix(max(1, min(5, height / 6)))
    guard !newest.isEmpty else { return [] }
    return [FrameLine("evaluations", .bold)] + newest.reversed().map { FrameLine(RunView.text(of: $0)) }
  }

  private var log: [FrameLine] {
    // The lines of steps say what stands above.
    let newest = view.log.filter { !$0.isEmpty && RunView.stepsPerEpoch(in: $0) == nil }.suffix(
      max(1, min(4, height / 8)))
    return newest.isEmpty ? [] : [FrameLine("log", .bold)] + newest.map { FrameLine($0, .dim) }
  }
}
