import Foundation

/// Predicts how long the rest takes, from the last steps.
struct Pace {
  private var recent: [Double] = []

  /// Seconds of a step.
  var median: Double { recent.isEmpty ? .nan : recent.sorted()[recent.count / 2] }

  mutating func add(_ seconds: Double) {
    recent.append(seconds)
    if recent.count > 50 { recent.removeFirst() }
  }

  func remaining(_ steps: Int) -> String {
    guard !recent.isEmpty else { return "?" }
    let seconds = Int((median * Double(steps)).rounded())
    return String(format: "%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60)
  }
}
