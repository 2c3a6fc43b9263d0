/// The names of series beside pieces of their lines.
package struct Legend: Sendable {
  private let entries: [(name: String, look: Plot.Series)]

  /// A name once, with the look of its first series.
  package init(_ series: [Plot.Series]) {
    var seen: Set<String> = []
    entries = series.filter { seen.insert($0.name).inserted }.map { ($0.name, $0) }
  }

  /// Lines of entries, from left to right.
  package func drawing(width: Double) -> Drawing {
    let size = 12.0, sample = 30.0, gap = 22.0, line = 20.0
    var drawing = Drawing(width: width, height: line, title: "", description: ""), x = 0.0, y = 0.0
    for (name, look) in entries {
      let text = TextWidth.fitted(name, width: width - sample - 8, size: size)
      let needed = sample + 8 + TextWidth.of(text, size: size)
      if x > 0 && x + needed > width { (x, y) = (0, y + line) }
      drawing.marks += [
        .line([Point(x, y + 9), Point(x + sample, y + 9)], look.stroke),
        .text(text, Point(x + sample + 8, y + 13), TextStyle(size)),
      ]
      x += needed + gap
    }
    drawing.height = y + line
    return drawing
  }
}

/// Plots beside one another under one title and one legend.
package struct PlotGrid: Sendable {
  package var title: String
  /// Small, below the title.
  package var remark: String
  package var plots: [Plot]
  package var columns = 2

  package init(_ title: String, remark: String = "", _ plots: [Plot]) {
    (self.title, self.remark, self.plots) = (title, remark, plots)
  }

  package func drawing(plotWidth: Double = 560, plotHeight: Double = 300) -> Drawing {
    let columns = max(1, min(columns, plots.count)), rows = (plots.count + columns - 1) / columns
    let width = Double(columns) * plotWidth
    var drawing = Drawing(
      width: width, height: 0, title: title,
      description: ([remark] + plots.map(\.summary)).filter { !$0.isEmpty }.joined(separator: " "))
    drawing.marks.append(
      .text(TextWidth.fitted(title, width: width - 28, size: 18), Point(14, 32), TextStyle(18, isBold: true)))
    var y = 44.0
    if !remark.isEmpty {
      drawing.marks.append(
        .text(TextWidth.fitted(remark, width: width - 28, size: 11), Point(14, 52), TextStyle(11, .muted)))
      y = 64
    }
    let legend = Legend(plots.flatMap(\.series)).drawing(width: width - 28)
    drawing.place(legend, at: Point(14, y))
    y += legend.height + 4
    for (index, plot) in plots.enumerated() {
      let corner = Point(Double(index % columns) * plotWidth, y + Double(index / columns) * plotHeight)
      drawing.place(plot.drawing(width: plotWidth, height: plotHeight, hasLegend: false), at: corner)
    }
    drawing.height = y + Double(rows) * plotHeight + 8
    return drawing
  }
}
