/// How runs went: loss, learning rate, mAP and rank-1 over steps or epochs.
package struct RunCurves: Sendable {
  package let groups: [RunGroup]
  package let axis: RunHistory.Axis
  /// Points of a curve of the training steps, at most; each is the mean of the steps around it.
  package static let bins = 200.0

  package init(_ groups: [RunGroup], over axis: RunHistory.Axis) { (self.groups, self.axis) = (groups, axis) }

  private var hasSpread: Bool { groups.contains { $0.runs.count > 1 } }

  /// What the curves are of, in a line.
  package var remark: String {
    let seeds = hasSpread ? "Bands are the standard deviation over seeds around their mean. " : ""
    return seeds + (binWidth > 0 ? "Points of the loss are means of the steps around them." : "")
  }

  /// 0: every step is a point.
  private var binWidth: Double {
    let curves = groups.flatMap(\.runs).map { $0.series("loss", over: axis) }
    guard let longest = curves.max(by: { $0.count < $1.count }), longest.count > Int(Self.bins) else { return 0 }
    // Whole steps, so that bins hold as many.
    let steps = (Double(longest.count) / Self.bins).rounded(.up)
    return steps * longest[longest.count - 1].x / Double(longest.count)
  }

  /// One field of the training steps or of the evaluations.
  /// - Parameter isNoisy: whether steps become means.
  package func plot(_ title: String, _ field: String, isNoisy: Bool = false) -> Plot {
    let width = isNoisy ? binWidth : 0
    let series = groups.enumerated().compactMap { index, group -> Plot.Series? in
      let curves = group.runs.map { RunGroup.binned($0.series(field, over: axis), width: width) }
      let (points, band) = RunGroup.spread(curves)
      return points.isEmpty ? nil : Plot.Series(name(of: group), points, band: band, look: index)
    }
    return Plot(title, xLabel: axis.rawValue, series)
  }

  private func name(of group: RunGroup) -> String {
    group.runs.count > 1 ? "\(group.name) (\(group.runs.count) seeds)" : group.name
  }

  /// The curves of training, and of each data set that was tested on.
  package var plots: [Plot] {
    let loss = plot("Loss", "loss", isNoisy: true)
    var rate = plot("Learning rate", "learningRate")
    let rates = rate.series.flatMap(\.points).map(\.y)
    // Steps of a tenth are as long as one another on a logarithmic axis.
    if let low = rates.min(), let high = rates.max(), low > 0, high / low >= 30 { rate.yScale = .logarithmic }
    rate.series = rate.series.map { series in
      var series = series
      series.style = .steps
      return series
    }
    let sets = Set(groups.flatMap(\.runs).flatMap(\.testSets)).sorted()
    let tests = sets.flatMap { set -> [Plot] in
      let prefix = set.isEmpty ? "" : set + ".", of = set.isEmpty ? "" : " of \(set)"
      return [("mAP", "mAP"), ("Rank-1", "rank1")].map { title, field in
        var plot = plot(title + of, prefix + field)
        plot.isPercent = true
        return plot
      }
    }
    let plots = ([loss, rate] + tests).filter { !$0.series.isEmpty }
    let end = plots.flatMap(\.series).compactMap(\.points.last?.x).max() ?? 0
    return plots.map { plot in
      var plot = plot
      plot.xLeast = 0...end
      return plot
    }
  }

  package func drawing(title: String) -> Drawing { PlotGrid(title, remark: remark, plots).drawing() }
}
