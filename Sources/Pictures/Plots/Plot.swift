import Foundation

/// Curves over an axis.
package struct Plot: Sendable, Equatable {
  /// One of them.
  package struct Series: Sendable, Equatable {
    package enum Style: Sendable { case line, steps, points }

    package var name: String
    /// Ascending in x, values of the axes; a value that is not finite interrupts the line.
    package var points: [Point]
    /// Around the points, such as a deviation over seeds: as many, or none.
    package var band: [ClosedRange<Double>]
    package var style: Style
    /// Which of the colours and dashes.
    package var look: Int

    package init(
      _ name: String, _ points: [Point], band: [ClosedRange<Double>] = [], style: Style = .line, look: Int
    ) {
      precondition(band.isEmpty || band.count == points.count)
      (self.name, self.points, self.band, self.style, self.look) = (name, points, band, style, look)
    }

    /// After a round of colours the dashes are one further, so that no two of 49 are alike.
    package var stroke: Stroke {
      Stroke(.series(look), width: 1.8, dash: Self.dashes[(look + look / Ink.seriesCount) % Self.dashes.count])
    }

    /// Series that have one colour, or colours that someone does not tell apart, differ by these.
    private static let dashes: [[Double]] = [
      [], [7, 4], [2, 4], [9, 4, 2, 4], [13, 4], [5, 3, 2, 3, 2, 3], [1, 5],
    ]
  }

  package enum Scale: Sendable { case linear, logarithmic }

  package var title: String
  package var xLabel: String, yLabel = ""
  package var series: [Series]
  package var yScale = Scale.linear
  /// Values are shares, and are shown as %.
  package var isPercent = false
  /// What the axis shows at least.
  package var yLeast: ClosedRange<Double>?
  package var xLeast: ClosedRange<Double>?

  package init(_ title: String, xLabel: String, _ series: [Series]) {
    (self.title, self.xLabel, self.series) = (title, xLabel, series)
  }

  /// What there is to see in words, for those who do not.
  package var summary: String {
    let parts = series.map { series -> String in
      let values = series.points.filter { $0.x.isFinite && $0.y.isFinite }
      guard let first = values.first, let last = values.last else { return "\(series.name): no values" }
      func shown(_ value: Double) -> String {
        isPercent ? String(format: "%.1f %%", 100 * value) : String(format: "%.4g", value)
      }
      return "\(series.name): from \(shown(first.y)) at \(String(format: "%g", first.x)) to \(shown(last.y)) at "
        + String(format: "%g", last.x)
    }
    return "\(title) over \(xLabel). \(parts.joined(separator: "; "))."
  }

  /// - Parameter hasLegend: below the title; otherwise the names of the series stand somewhere else.
  package func drawing(width: Double = 560, height: Double = 320, hasLegend: Bool = true) -> Drawing {
    var drawing = Drawing(width: width, height: height, title: title, description: summary)
    drawing.marks.append(.text(title, Point(14, 26), TextStyle(14, isBold: true)))
    var top = 42.0
    if hasLegend && series.count > 1 {
      let legend = Legend(series).drawing(width: width - 28)
      drawing.place(legend, at: Point(14, top))
      top += legend.height + 6
    }
    let xs = series.flatMap { $0.points.map(\.x) }.filter(\.isFinite)
    let ys = series.flatMap { series in
      series.points.map(\.y) + series.band.flatMap { [$0.lowerBound, $0.upperBound] }
    }.filter { $0.isFinite && (yScale == .linear || $0 > 0) }
    guard let xRange = Self.range(xs, xLeast), var yRange = Self.range(ys, yLeast) else {
      drawing.marks.append(
        .text("no values", Point(width / 2, height / 2), TextStyle(13, .muted, .middle)))
      return drawing
    }
    // A deviation may reach beyond what a share can be.
    if isPercent { yRange = yRange.clamped(to: 0...1) }
    // And below what is never negative.
    let isNegative = series.contains { $0.points.contains { $0.y < 0 } }
    if !isNegative && yRange.lowerBound < 0 && yRange.upperBound > 0 { yRange = 0...yRange.upperBound }
    let rows = max(2, Int((height - top) / 55))
    let yTicks = yScale == .linear ? Ticks(yRange, count: rows) : Ticks(logarithmic: yRange)
    let labels = yTicks.values.map { yTicks.label($0, percent: isPercent) }
    let labelWidth = labels.map { TextWidth.of($0, size: 11) }.max() ?? 0
    let left = 14 + labelWidth + 8 + (yLabel.isEmpty ? 0 : 18)
    let frame = PlotFrame(
      box: Box(left, top, max(40, width - left - 18), max(40, height - top - 46)), x: xRange,
      y: yTicks.values[0]...yTicks.values[yTicks.values.count - 1], yScale)
    addAxes(to: &drawing, frame, yTicks, labels)
    for series in series { addBand(of: series, to: &drawing, frame) }
    for series in series { addLine(of: series, to: &drawing, frame) }
    return drawing
  }

  private static func range(_ values: [Double], _ least: ClosedRange<Double>?) -> ClosedRange<Double>? {
    guard let low = values.min(), let high = values.max() else { return nil }
    let range = min(low, least?.lowerBound ?? low)...max(high, least?.upperBound ?? high)
    guard range.lowerBound == range.upperBound else { return range }
    // One value, in the middle of something.
    let margin = range.lowerBound == 0 ? 1 : abs(range.lowerBound) / 2
    return range.lowerBound - margin...range.upperBound + margin
  }

  private func addAxes(to drawing: inout Drawing, _ frame: PlotFrame, _ yTicks: Ticks, _ labels: [String]) {
    let box = frame.box
    for (value, label) in zip(yTicks.values, labels) {
      let y = frame.y(value)
      drawing.marks += [
        .line([Point(box.x, y), Point(box.right, y)], Stroke(.grid)),
        .text(label, Point(box.x - 8, y + 4), TextStyle(11, .muted, .end)),
      ]
    }
    let xTicks = Ticks(within: frame.xRange, count: max(2, Int(box.width / 80)))
    for value in xTicks.values {
      let x = frame.x(value)
      drawing.marks += [
        .line([Point(x, box.bottom), Point(x, box.bottom + 5)], Stroke(.muted)),
        .text(xTicks.label(value), Point(x, box.bottom + 18), TextStyle(11, .muted, .middle)),
      ]
    }
    drawing.marks += [
      .line([Point(box.x, box.bottom), Point(box.right, box.bottom)], Stroke(.muted)),
      .text(xLabel, Point(box.middle.x, box.bottom + 36), TextStyle(11, .muted, .middle)),
    ]
    if !yLabel.isEmpty {
      var style = TextStyle(11, .muted, .middle)
      style.isUpright = true
      drawing.marks.append(.text(yLabel, Point(22, box.middle.y), style))
    }
  }

  private func addBand(of series: Series, to drawing: inout Drawing, _ frame: PlotFrame) {
    guard !series.band.isEmpty else { return }
    for run in frame.runs(of: series.points) where run.count > 1 {
      let upper = run.map { Point(frame.x(series.points[$0].x), frame.y(series.band[$0].upperBound)) }
      let lower = run.map { Point(frame.x(series.points[$0].x), frame.y(series.band[$0].lowerBound)) }
      drawing.marks.append(.area(upper + lower.reversed(), .series(series.look), opacity: 0.2))
    }
  }

  private func addLine(of series: Series, to drawing: inout Drawing, _ frame: PlotFrame) {
    let runs = frame.runs(of: series.points)
    for run in runs {
      let points = run.map { Point(frame.x(series.points[$0].x), frame.y(series.points[$0].y)) }
      // A line of one point would not be seen, and few points are what was measured, not the line between them.
      if series.style == .points || points.count == 1 || points.count <= 40 && series.style == .line {
        drawing.marks += points.map { .disc($0, radius: series.style == .points ? 3 : 2.4, .series(series.look)) }
      }
      // A series of one point has its dashes beside it: the colour is not enough.
      if runs == [0..<1], series.style != .points {
        drawing.marks.append(
          .line([Point(points[0].x - 15, points[0].y), Point(points[0].x + 15, points[0].y)], series.stroke))
      }
      switch series.style {
      case .line where points.count > 1: drawing.marks.append(.line(points, series.stroke))
      case .steps where points.count > 1: drawing.marks.append(.line(Self.stairs(points), series.stroke))
      default: break
      }
    }
  }

  /// Each value holds until the next.
  private static func stairs(_ points: [Point]) -> [Point] {
    points.indices.flatMap { index in
      index + 1 < points.count ? [points[index], Point(points[index + 1].x, points[index].y)] : [points[index]]
    }
  }
}

/// From values of the axes to places of the drawing.
struct PlotFrame {
  let box: Box
  let xRange: ClosedRange<Double>
  private let yRange: ClosedRange<Double>, scale: Plot.Scale

  init(box: Box, x: ClosedRange<Double>, y: ClosedRange<Double>, _ scale: Plot.Scale) {
    (self.box, xRange, yRange, self.scale) = (box, x, y, scale)
  }

  func x(_ value: Double) -> Double {
    box.x + box.width * (value - xRange.lowerBound) / (xRange.upperBound - xRange.lowerBound)
  }

  /// Within the box: a band may reach below what a logarithm knows.
  func y(_ value: Double) -> Double {
    let share: Double
    switch scale {
    case .linear: share = (value - yRange.lowerBound) / (yRange.upperBound - yRange.lowerBound)
    case .logarithmic:
      share =
        value > 0 ? log(value / yRange.lowerBound) / log(yRange.upperBound / yRange.lowerBound) : 0
    }
    return box.bottom - box.height * min(max(share, 0), 1)
  }

  /// The pieces without a value that cannot be shown.
  func runs(of points: [Point]) -> [Range<Int>] {
    func isShown(_ point: Point) -> Bool {
      point.x.isFinite && point.y.isFinite && (scale == .linear || point.y > 0)
    }
    var runs: [Range<Int>] = [], start: Int?
    for index in 0...points.count {
      if index < points.count && isShown(points[index]) {
        start = start ?? index
      } else if let first = start {
        runs.append(first..<index)
        start = nil
      }
    }
    return runs
  }
}
