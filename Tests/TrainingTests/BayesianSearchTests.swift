import Foundation
import Tensors
import Testing
import Training

/// The mathematics of a search: the process and the improvement by hand, and a known function optimized.
@Suite struct BayesianSearchTests {
  private func matern(_ r: Double, _ length: Double) -> Double {
    let ratio = r / length
    return (1 + 5.0.squareRoot() * ratio + 5 * ratio * ratio / 3) * exp(-5.0.squareRoot() * ratio)
  }

  @Test func oneObservationByHand() throws {
    let process = try #require(
      GaussianProcess([[0.25, 0.5]], [3], kernel: Matern52(length: 0.4), noise: 0.01))
    for x in [[0.25, 0.5], [0.55, 0.9], [1, 0]] {
      let k = matern(hypot(x[0] - 0.25, x[1] - 0.5), 0.4), (mean, variance) = process.posterior(at: x)
      #expect(abs(mean - 3) < 1e-14 && abs(variance - (1 - k * k / 1.01)) < 1e-14)
    }
    #expect(abs(process.logLikelihood + 0.5 * log(2 * Double.pi) + 0.5 * log(1.01)) < 1e-14)
  }

  @Test func twoObservationsByHand() throws {
    // Scaled to −1 and 1, so α = (−1, 1)/(1 + ν − k₁₂).
    let (low, high, noise, length) = (-2.0, 4.0, 0.05, 0.3), a = 1 + noise
    let process = try #require(
      GaussianProcess([[0.2], [0.6]], [low, high], kernel: Matern52(length: length), noise: noise))
    let k12 = matern(0.4, length)
    for x in [0.0, 0.2, 0.4, 0.55, 0.95] {
      let (k1, k2) = (matern(abs(x - 0.2), length), matern(abs(x - 0.6), length))
      let (mean, variance) = process.posterior(at: [x])
      #expect(abs(mean - (1 + 3 * (k2 - k1) / (a - k12))) < 1e-13)
      let explained = (a * (k1 * k1 + k2 * k2) - 2 * k12 * k1 * k2) / (a * a - k12 * k12)
      #expect(abs(variance - 9 * (1 - explained)) < 1e-13)
    }
    let expected = -1 / (a - k12) - 0.5 * log(a * a - k12 * k12) - log(2 * Double.pi)
    #expect(abs(process.logLikelihood - expected) < 1e-13)
    #expect(process.bestMean == process.posterior(at: [0.6]).mean)
  }

  /// The same point twice, and values all alike, leave nothing undefined.
  @Test func degenerateObservations() throws {
    #expect(GaussianProcess([[0.5], [0.5]], [1, 2], kernel: Matern52(length: 1), noise: 0) == nil)
    let twice = GaussianProcess.fitted([[0.5], [0.5], [0.5]], [1, 2, 3])
    #expect(abs(twice.posterior(at: [0.5]).mean - 2) < 1e-9 && twice.noise == 0.1)
    let alike = GaussianProcess.fitted([[0.1], [0.9]], [0.3, 0.3]).posterior(at: [0.4])
    #expect(abs(alike.mean - 0.3) < 1e-15 && alike.variance > 0)
  }

  /// The fit is the likeliest of the grid, and finds the length of a function that was drawn with it, roughly.
  @Test func theFitIsTheLikeliest() throws {
    let points = (0..<12).map { [Double($0) / 11] }
    let slow = points.map { sin(3 * $0[0]) }, fast = points.map { sin(40 * $0[0]) }
    let fits = [slow, fast].map { GaussianProcess.fitted(points, $0) }
    #expect(fits[0].kernel.length > fits[1].kernel.length)
    for (values, fit) in zip([slow, fast], fits) {
      for length in GaussianProcess.lengths {
        for noise in GaussianProcess.noises {
          let other = GaussianProcess(points, values, kernel: Matern52(length: length), noise: noise)
          #expect(other?.logLikelihood ?? -.infinity <= fit.logLikelihood)
        }
      }
    }
  }

  @Test func expectedImprovementByHand() {
    // Φ(1) and φ(1), φ(0).
    let (share, density, peak) = (0.8413447460685429, 0.24197072451914337, 0.3989422804014327)
    #expect(abs(ExpectedImprovement(over: 2)(mean: 2, variance: 9) - 3 * peak) < 1e-15)
    #expect(abs(ExpectedImprovement(over: 1)(mean: 3, variance: 4) - 2 * (share + density)) < 1e-14)
    #expect(abs(ExpectedImprovement(over: 0)(mean: -1, variance: 1) - (density - (1 - share))) < 1e-15)
    #expect(ExpectedImprovement(over: 1)(mean: 3, variance: 0) == 2)
    #expect(ExpectedImprovement(over: 3)(mean: 1, variance: 0) == 0)
    #expect(ExpectedImprovement(over: 100)(mean: 0, variance: 1) == 0)
  }

  /// −Branin on the unit square; its largest value is −0.397887.
  private func branin(_ u: [Double]) -> Double {
    let (x, y) = (15 * u[0] - 5, 15 * u[1])
    let a = y - 5.1 / (4 * .pi * .pi) * x * x + 5 / .pi * x - 6
    return -(a * a + 10 * (1 - 1 / (8 * .pi)) * cos(x) + 10)
  }

  @Test func findsMoreThanRandomSearch() {
    let count = 20
    var found: [Double] = [], drawn: [Double] = []
    for seed in UInt64(1)...6 {
      let proposals = Proposals(dimensions: 2, initial: 5, seed: seed, stream: 1)
      var points: [[Double]] = []
      for _ in 0..<count { points.append(proposals.next(after: points, points.map(branin))) }
      found.append(points.map(branin).max()!)
      var random = CounterRandom(seed: seed, purpose: .probing)
      drawn.append((0..<count).map { _ in branin([random.uniform(), random.uniform()]) }.max()!)
    }
    func regret(_ values: [Double]) -> Double { values.reduce(0) { $0 - 0.397887 - $1 } / Double(values.count) }
    #expect(found.allSatisfy { $0 > -2 }, "\(found)")
    #expect(regret(found) < regret(drawn) / 5, "\(found), at random \(drawn)")
  }

  @Test func theFirstPointsAreSpreadOut() {
    let proposals = Proposals(dimensions: 3, initial: 5, seed: 4, stream: 2)
    var points: [[Double]] = []
    for _ in 0..<5 { points.append(proposals.next(after: points, points.map { _ in nil })) }
    for dimension in 0..<3 { #expect(Set(points.map { Int(5 * $0[dimension]) }) == Set(0..<5)) }
    let others = [
      Proposals(dimensions: 3, initial: 5, seed: 5, stream: 2),
      Proposals(dimensions: 3, initial: 5, seed: 4, stream: 3),
    ]
    for other in others { #expect(other.next(after: [], []) != points[0]) }
    // Where nothing has a value, anything will do.
    #expect(proposals.next(after: points, points.map { _ in nil }).allSatisfy { (0...1).contains($0) })
  }
}
