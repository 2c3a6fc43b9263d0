/// A figure over the steps of a run, in little memory however long it is: means of neighbouring steps.
package struct Curve: Sendable {
  private struct Bin { var sum = 0.0, count = 0.0 }
  private var bins: [Bin] = []
  /// Steps of a bin.
  private var width = 1
  package private(set) var steps: ClosedRange<Int>?

  private static let mostBins = 4096

  package init() {}

  /// - Parameter step: 0 or more. What is not finite is left out.
  package mutating func add(_ value: Double, step: Int) {
    guard value.isFinite else { return }
    while step / width >= Self.mostBins {
      for index in 0..<(bins.count + 1) / 2 {
        let (left, right) = (bins[2 * index], 2 * index + 1 < bins.count ? bins[2 * index + 1] : Bin())
        bins[index] = Bin(sum: left.sum + right.sum, count: left.count + right.count)
      }
      bins.removeLast(bins.count / 2)
      width *= 2
    }
    let place = step / width
    while bins.count <= place { bins.append(Bin()) }
    bins[place].sum += value
    bins[place].count += 1
    steps = min(step, steps?.lowerBound ?? step)...max(step, steps?.upperBound ?? step)
  }

  /// Of `count` equal parts of the steps so far the mean; between such as have none, on the line.
  package func sampled(_ count: Int) -> [Double] {
    guard let steps, count > 0 else { return [] }
    let (first, last) = (steps.lowerBound / width, steps.upperBound / width)
    var parts = [Bin](repeating: Bin(), count: count)
    for place in first...last {
      let part = (place - first) * count / (last - first + 1)
      parts[part].sum += bins[place].sum
      parts[part].count += bins[place].count
    }
    let known = parts.indices.filter { parts[$0].count > 0 }, values = known.map { parts[$0].sum / parts[$0].count }
    guard known.count > 1 else { return [Double](repeating: values[0], count: count) }
    var result: [Double] = [], next = 1
    for part in 0..<count {
      while next < known.count - 1 && known[next] < part { next += 1 }
      let (from, to) = (known[next - 1], known[next])
      let share = min(1, max(0, Double(part - from) / Double(to - from)))
      result.append(values[next - 1] + (values[next] - values[next - 1]) * share)
    }
    return result
  }
}
