/// Runs of one configuration, drawn as one curve: a mean, and how far the runs are from it.
package struct RunGroup: Sendable {
  package var name: String
  /// Of different seeds.
  package var runs: [RunHistory]

  package init(_ name: String, _ runs: [RunHistory]) { (self.name, self.runs) = (name, runs) }

  /// The mean over the runs of what they have at the same x, with the standard deviation (n − 1) around it where there are
  /// several. An x that one of the runs does not have is left out.
  static func spread(_ curves: [[Point]]) -> (points: [Point], band: [ClosedRange<Double>]) {
    guard curves.count > 1, let first = curves.first else { return (curves.first ?? [], []) }
    let others = curves.dropFirst().map { Dictionary($0.map { ($0.x, $0.y) }) { $1 } }
    var points: [Point] = [], band: [ClosedRange<Double>] = []
    for point in first {
      let values = [point.y] + others.compactMap { $0[point.x] }
      guard values.count == curves.count, let spread = Spread(values), let deviation = spread.deviation else {
        continue
      }
      points.append(Point(point.x, spread.mean))
      band.append(spread.mean - deviation...spread.mean + deviation)
    }
    return (points, band)
  }

  /// Means of `width` along x, the first from 0 to `width` with its end: what a step's noise hides.
  static func binned(_ points: [Point], width: Double) -> [Point] {
    guard width > 0 else { return points }
    var bins: [Point] = [], count = 0.0, current = -1.0, sum = 0.0
    func end() { if count > 0 { bins.append(Point((current + 0.5) * width, sum / count)) } }
    for point in points where point.y.isFinite {
      // Half of a thousandth against the rounding of fractions of epochs.
      let bin = max(0, (point.x / width - 0.0005).rounded(.down))
      if bin != current {
        end()
        (current, count, sum) = (bin, 0, 0)
      }
      sum += point.y
      count += 1
    }
    end()
    return bins
  }
}
