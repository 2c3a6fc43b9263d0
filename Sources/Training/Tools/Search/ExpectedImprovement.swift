import Foundation

/// By how much a value is expected to be above the best so far (Jones, Schonlau and Welch, 1998):
///
///     EI(x) = (μ − b)Φ(z) + σφ(z),   z = (μ − b)/σ;   max(0, μ − b) where σ = 0
///
/// with μ and σ² the posterior's mean and variance, and b the best value (`GaussianProcess.bestMean` where values are noisy).
package struct ExpectedImprovement: Sendable {
  /// b.
  package let best: Double

  package init(over best: Double) { self.best = best }

  package func callAsFunction(mean: Double, variance: Double) -> Double {
    let gain = mean - best, deviation = variance.squareRoot()
    guard deviation > 0 else { return max(0, gain) }
    let z = gain / deviation
    let density = exp(-z * z / 2) / (2 * Double.pi).squareRoot(), share = erfc(-z / 2.0.squareRoot()) / 2
    return max(0, gain * share + deviation * density)
  }

  /// The candidate whose value is expected to improve most on what `process` has seen; of equals the first.
  /// - Parameter candidates: one or more points.
  package static func best(of candidates: [[Double]], _ process: GaussianProcess) -> [Double] {
    let improvement = ExpectedImprovement(over: process.bestMean)
    var best = candidates[0], largest = -1.0
    for candidate in candidates {
      let (mean, variance) = process.posterior(at: candidate)
      let value = improvement(mean: mean, variance: variance)
      if value > largest { (best, largest) = (candidate, value) }
    }
    return best
  }
}
