import Pictures

/// Plots of a report: small, so that their texts can be read on a phone, side by side where there is room.
package enum ReportPlots {
  /// - Throws: `Failure.internal` where a drawing cannot be written.
  package static func grid(_ plots: [Plot]) throws -> String {
    let plots = plots.filter { !$0.series.isEmpty }
    guard !plots.isEmpty else { return "" }
    let drawn = try plots.map { plot in
      HTML.element("div", [], try plot.drawing(width: 400, height: 250, hasLegend: false).svg(isStandalone: false))
    }
    return key(of: plots) + HTML.element("div", [("class", "plots")], drawn.joined(separator: "\n")) + "\n"
  }

  /// The lines of several series, once for all plots.
  private static func key(of plots: [Plot]) -> String {
    var seen: Set<String> = []
    let series = plots.flatMap(\.series).filter { seen.insert($0.name).inserted }
    guard series.count > 1 else { return "" }
    let items = series.map { one -> String in
      let dash = one.stroke.dash.map { "\($0)" }.joined(separator: " ")
      let line =
        "<svg class=\"lineup-drawing\" width=\"34\" height=\"10\" aria-hidden=\"true\"><line x1=\"1\" y1=\"5\" x2=\"33\" y2=\"5\" "
        + "class=\"s-\(one.stroke.ink.name ?? "text")\" stroke-width=\"2.5\"\(dash.isEmpty ? "" : " stroke-dasharray=\"\(dash)\"")/></svg>"
      return HTML.element("li", [], line + Markup.escaped(one.name))
    }
    return HTML.element("ul", [("class", "key")], items.joined()) + "\n"
  }

  /// CMC curves: of each name, the share of queries with a match among the first k.
  package static func cmc(_ curves: [(name: String, values: [Double])]) -> Plot {
    var plot = Plot(
      "Queries with a match among the first k", xLabel: "k",
      curves.enumerated().map { index, curve in
        Plot.Series(
          curve.name, curve.values.enumerated().map { Point(Double($0 + 1), $1) }, style: .steps, look: index)
      })
    plot.isPercent = true
    plot.xLeast = 1...2
    return plot
  }

  /// Terms of the loss and what the regularizers say, over the steps, as far as runs have them.
  package static func terms(_ curves: RunCurves) -> [Plot] {
    let known: Set = [
      "step", "epoch", "loss", "learningRate", "lossScale", "skipped", "images", "damaged", "seconds",
      "imagesPerSecond",
      "secondsWaitedForImages", "tangentScale",
    ]
    let fields = Set(curves.groups.flatMap(\.runs).flatMap { Array($0.steps.fields) }).subtracting(known)
      .filter {
        !$0.hasSuffix("Share") && !$0.hasSuffix("Strength") && $0 != "adaptiveL2" && $0 != "msgr"
          && $0 != "gradientNorm"
      }
    return fields.sorted().map { curves.plot(title(of: $0), $0, isNoisy: true) }
  }

  /// R of the gradient regularizer and the strengths of adaptive L2, over the steps.
  package static func regularizers(_ curves: RunCurves) -> [Plot] {
    let fields = [
      ("msgr", "R of the gradient regularizer"), ("adaptiveL2", "Penalty of adaptive L2"),
      ("smallestStrength", "Smallest strength λ"), ("meanStrength", "Mean strength λ"),
      ("largestStrength", "Largest strength λ"), ("gradientNorm", "Norm of the gradients"),
    ]
    return fields.map { curves.plot($1, $0, isNoisy: true) }.filter { !$0.series.isEmpty }
  }

  /// `crossEntropy`: Cross entropy.
  private static func title(of field: String) -> String {
    var words = ""
    for character in field {
      if character.isUppercase { words += " " }
      words += words.isEmpty ? character.uppercased() : character.lowercased()
    }
    return words
  }
}
