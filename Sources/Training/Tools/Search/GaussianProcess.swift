import Foundation

/// Matérn's kernel of smoothness 5/2 with one length ℓ for all directions and variance 1 (Rasmussen and Williams, "Gaussian
/// Processes for Machine Learning", Eq. 4.17):
///
///     k(x, x') = (1 + s + s²/3) e^{−s},   s = √5 ‖x − x'‖/ℓ
package struct Matern52: Sendable, Equatable {
  /// ℓ, in sides of the unit cube.
  package let length: Double

  package init(length: Double) { self.length = length }

  package func callAsFunction(_ x: [Double], _ y: [Double]) -> Double {
    var squares = 0.0
    for (a, b) in zip(x, y) { squares += (a - b) * (a - b) }
    let s = (5 * squares).squareRoot() / length
    return (1 + s + s * s / 3) * exp(-s)
  }
}

/// Gaussian-process regression on points of the unit cube (Rasmussen and Williams, Algorithm 2.1).
///
///     y = m + d·g(x),   g ~ GP(0, k),   each y seen with noise of variance d²ν
///     K = k(X, X) + νI = LLᵀ,  α = K⁻¹(y − m)/d
///     mean(x) = m + d·k(x)ᵀα,   variance(x) = d²(1 − ‖L⁻¹k(x)‖²)
///
/// with m the mean of the values and d their deviation (of n; 1 where all are alike), so that kernel and noise are those of values of
/// unit scale.
package struct GaussianProcess: Sendable {
  /// What `fitted` chooses from.
  package static let lengths = [0.1, 0.2, 0.4, 0.8, 1.6], noises = [1e-6, 1e-4, 1e-2, 1e-1]

  package let kernel: Matern52
  /// ν.
  package let noise: Double
  private let points: [[Double]]
  private let mean: Double, deviation: Double
  private let factor: Cholesky
  private let alpha: [Double]
  /// ln p((y − m)/d | X) = −½ yᵀα − Σ ln L_ii − n/2 ln 2π.
  package let logLikelihood: Double

  /// - Parameters:
  ///   - points: one or more, of one length each.
  ///   - values: finite, as many.
  /// - Returns: nil where K is not positive definite, which takes a noise of 0 and a point twice.
  package init?(_ points: [[Double]], _ values: [Double], kernel: Matern52, noise: Double) {
    let count = points.count
    precondition(count > 0 && values.count == count)
    let mean = values.reduce(0, +) / Double(count)
    let spread = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
    let deviation = spread > 0 ? spread : 1
    var matrix = [Double](repeating: 0, count: count * count)
    for i in 0..<count {
      for j in 0...i { matrix[i * count + j] = kernel(points[i], points[j]) + (i == j ? noise : 0) }
    }
    guard let factor = Cholesky(matrix, count: count) else { return nil }
    let scaled = values.map { ($0 - mean) / deviation }
    alpha = factor.solve(scaled)
    logLikelihood =
      -0.5 * zip(scaled, alpha).reduce(0) { $0 + $1.0 * $1.1 } - factor.diagonal.reduce(0) { $0 + log($1) }
      - 0.5 * Double(count) * log(2 * .pi)
    (self.points, self.kernel, self.noise, self.factor) = (points, kernel, noise, factor)
    (self.mean, self.deviation) = (mean, deviation)
  }

  /// Length and noise of the grid that make the values likeliest; of equals the first.
  package static func fitted(_ points: [[Double]], _ values: [Double]) -> GaussianProcess {
    var best: GaussianProcess?
    for length in lengths {
      for noise in noises {
        guard let process = GaussianProcess(points, values, kernel: Matern52(length: length), noise: noise),
          process.logLikelihood > best?.logLikelihood ?? -.infinity
        else { continue }
        best = process
      }
    }
    guard let best else { preconditionFailure("K + 0.1·I is positive definite") }
    return best
  }

  /// Of the function itself, without the noise of an observation.
  package func posterior(at x: [Double]) -> (mean: Double, variance: Double) {
    let k = points.map { kernel($0, x) }
    let explained = factor.forward(k).reduce(0) { $0 + $1 * $1 }
    return (
      mean + deviation * zip(k, alpha).reduce(0) { $0 + $1.0 * $1.1 },
      deviation * deviation * max(0, 1 - explained)
    )
  }

  /// The largest mean at the points that have been seen.
  package var bestMean: Double { points.map { posterior(at: $0).mean }.max()! }
}
