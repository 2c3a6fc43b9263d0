import Collectives
import Kernels
import Layers
import Tensors
import Testing

@Suite struct BatchNormTests {
  private struct Bench<E: Element> {
    typealias A = E.Accumulator
    let norm: Norm<E>, parameters: Parameters<A>
    let runningMean: ParameterLayout.Slot, runningVariance: ParameterLayout.Slot

    init(channels: Int) {
      var layout = ParameterLayout()
      var statistics = ParameterLayout()
      norm = Norm(&layout, &statistics, "bn1", channels: channels)
      parameters = Parameters(layout: layout, statistics: statistics)
      (runningMean, runningVariance) = (statistics["bn1.running_mean"]!, statistics["bn1.running_var"]!)
      for i in norm.scale.range { parameters.values[i] = 1 }
      for i in runningVariance.range { parameters.statistics[i] = 1 }
    }

    func run(
      _ communicator: any Communicator = SoloCommunicator(), _ mode: RunMode = .training(seed: 0, step: 0, firstRow: 0),
      _ updates: RunningUpdates = RunningUpdates()
    ) -> Run<E> {
      Run(
        Context(workers: Workers(count: 1), communicator: communicator, arena: Arena(), kernels: Kernels(path: .blas)),
        parameters, mode, updates)
    }

    /// `values`: terms × channels, of `count` pixels.
    func sums(_ values: [Double]) -> Sums { Sums(terms: values.count / norm.channels, channels: norm.channels, values) }

    func shape(_ count: Int) -> Shape { Shape(1, 1, count, norm.channels) }
  }

  private func sums(_ values: [[Double]]) -> [Double] {
    values.map { $0.reduce(0, +) } + values.map { $0.reduce(0) { $0 + $1 * $1 } }
  }

  private func isClose(_ a: Double, _ b: Double, _ tolerance: Double = 1e-12) -> Bool {
    abs(a - b) <= tolerance * max(1, abs(b))
  }

  private let channelA = [1.0, 4, -2, 7, 0.5], channelB = [10.0, 10, 10, 10, 10]

  @Test func namesAreTorchvisions() {
    let bench = Bench<Double>(channels: 3)
    #expect(bench.norm.scale.name == "bn1.weight" && bench.norm.shift!.name == "bn1.bias")
    #expect(Norm<Float>.epsilon == 1e-5 && Norm<Float>.momentum == 0.1)
  }

  /// y = γ(x − μ)/√(σ² + ε) + β with the biased variance; a channel without variance is divided by √ε.
  @Test func normalizesByTheBatch() throws {
    let bench = Bench<Double>(channels: 2)
    let parameters = bench.parameters
    (parameters.values[bench.norm.scale.range.lowerBound], parameters.values[bench.norm.shift!.range.lowerBound]) = (
      2, -1
    )
    let state = try bench.norm.normalize(bench.sums(sums([channelA, channelB])), bench.shape(5), bench.run())
    let mean = 2.1
    let variance = channelA.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 5
    let scale = 2 / (variance + 1e-5).squareRoot()
    #expect(
      isClose(state.mean[0], mean) && isClose(state.scale[0], scale) && isClose(state.shift[0], -1 - scale * mean))
    #expect(isClose(state.mean[1], 10) && isClose(state.scale[1], 1 / 1e-5.squareRoot()))
    #expect(isClose(state.scale[1] * 10 + state.shift[1], 0, 1e-9))
  }

  /// running ← 0.9 · running + 0.1 · batch, the variance unbiased over the *global* count; only on commit.
  @Test(arguments: [[5], [2, 3], [1, 0, 4]]) func runningStatisticsMoveOnCommit(_ counts: [Int]) throws {
    let channelA = channelA
    let channelB = channelB
    let results = try ThreadCommunicator.run(counts.count) { communicator in
      let bench = Bench<Double>(channels: 2)
      let first = counts[..<communicator.rank].reduce(0, +)
      let own = first..<first + counts[communicator.rank]
      let sums =
        [channelA, channelB].map { $0[own].reduce(0, +) }
        + [channelA, channelB].map { $0[own].reduce(0) { $0 + $1 * $1 } }
      let updates = RunningUpdates()
      var seen: [[Double]] = []
      for _ in 0..<2 {
        _ = try bench.norm.normalize(
          bench.sums(sums), bench.shape(own.count),
          bench.run(communicator, .training(seed: 0, step: 0, firstRow: 0), updates))
        seen.append(bench.parameters.statistics.array)
      }
      updates.commit()
      return (
        seen, bench.runningMean.range.map { bench.parameters.statistics[$0] },
        bench.runningVariance.range.map { bench.parameters.statistics[$0] }
      )
    }
    let untouched = Bench<Double>(channels: 2).parameters.statistics.array
    let unbiased = channelA.reduce(0) { $0 + ($1 - 2.1) * ($1 - 2.1) } / 4
    for (seen, mean, variance) in results {
      #expect(seen == [untouched, untouched], "nothing moves before the commit")
      // two steps of the same batch from 0 and 1
      #expect(isClose(mean[0], 0.19 * 2.1) && isClose(mean[1], 0.19 * 10))
      #expect(isClose(variance[0], 0.81 + 0.19 * unbiased) && isClose(variance[1], 0.81))
    }
  }

  @Test func evaluationUsesRunningStatistics() throws {
    let bench = Bench<Double>(channels: 1)
    let parameters = bench.parameters
    parameters.values[bench.norm.scale.range.lowerBound] = 3
    parameters.values[bench.norm.shift!.range.lowerBound] = 0.5
    parameters.statistics[bench.runningMean.range.lowerBound] = 4
    parameters.statistics[bench.runningVariance.range.lowerBound] = 0.25
    let state = try bench.norm.normalize(.none, bench.shape(5), bench.run(SoloCommunicator(), .evaluation))
    let scale = 3 / (0.25 + 1e-5).squareRoot()
    #expect(isClose(state.scale[0], scale) && isClose(state.shift[0], 0.5 - 4 * scale))
  }

  /// Every rank computes the same bits, and the same as one rank with all values, for float32 too.
  @Test func ranksAgreeToTheLastBit() throws {
    var random = CounterRandom(seed: 1, purpose: .probing)
    let values = (0..<7).map { _ in (0..<120).map { _ in Double(Float(3 + random.normal())) } }
    func bits(_ counts: [Int]) throws -> [[Float]] {
      try ThreadCommunicator.run(counts.count) { communicator in
        let bench = Bench<Float16>(channels: 7)
        let first = counts[..<communicator.rank].reduce(0, +)
        let own = first..<first + counts[communicator.rank]
        let sums = values.map { $0[own].reduce(0, +) } + values.map { $0[own].reduce(0) { $0 + $1 * $1 } }
        let state = try bench.norm.normalize(bench.sums(sums), bench.shape(own.count), bench.run(communicator))
        return state.scale.array + state.shift.array + state.mean.array
      }
    }
    let one = try bits([120])[0]
    for counts in [[60, 60], [1, 119], [40, 0, 80], [30, 31, 29, 30]] {
      #expect(try bits(counts).allSatisfy { $0 == one }, "\(counts)")
    }
  }

  /// A channel without variance: x̂ = 0 and σ = √ε, so only the means are left of the formulas, and γ̄˙ = Σx̂˙ȳ.
  @Test func aConstantChannelHasTangents() throws {
    let bench = Bench<Double>(channels: 1)
    let (norm, parameters, alone) = (bench.norm, bench.parameters, bench.run())
    parameters.values[norm.scale.range.lowerBound] = 1.5
    let (xDot, yBar, h) = (channelA, [3.0, -1, 0.5, 2, 1], [0.25, 1, -4, 2, 0])
    func centred(_ v: [Double]) -> [Double] { v.map { $0 - v.reduce(0, +) / 5 } }
    func total(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    func sum(_ v: [Double]) -> Double { v.reduce(0, +) }

    let state = try norm.normalize(bench.sums(sums([channelB])), bench.shape(5), alone)
    let backward = try norm.backward(state, bench.sums([sum(yBar), 0]), into: nil, alone)
    let tangent = try norm.forwardTangent(state, bench.sums([sum(xDot), 0, total(xDot, yBar)]), alone)
    let gradients = ParameterGradients(count: 32)
    let second = try norm.backwardTangent(
      state, backward, tangent, weight: 0.25, bench.sums([sum(h), 0]), into: gradients, alone)
    let inverse = 1 / 1e-5.squareRoot()
    let (first, base) = (tangent.coefficients, second.base)
    for i in 0..<5 {
      let yDot = first.a[0] * xDot[i] + first.b[0] * 10 + first.c[0]
      #expect(isClose(yDot, 1.5 * inverse * centred(xDot)[i], 1e-9))
      let xBar = base.a[0] * h[i] + base.b[0] * 10 + base.c[0] + second.d[0] * yBar[i] + second.e[0] * xDot[i]
      #expect(isClose(xBar, 1.5 * inverse * centred(h)[i], 1e-9))
    }
    #expect(isClose(gradients[norm.scale.range.lowerBound], 0.25 * inverse * total(centred(xDot), yBar), 1e-12))
    #expect(isClose(gradients[norm.shift!.range.lowerBound], sum(h)))
  }

  /// A NaN in the batch makes the channel's normalization NaN, not that of a constant channel.
  @Test func nonfiniteSumsComeOut() throws {
    let bench = Bench<Float16>(channels: 3)
    let sums: [Double] = [.nan, .infinity, 1, .nan, .infinity, 1]
    let state = try bench.norm.normalize(bench.sums(sums), bench.shape(4), bench.run())
    #expect(!state.scale[0].isFinite && !state.shift[0].isFinite)
    #expect(!state.shift[1].isFinite)
    #expect(state.scale[2].isFinite && state.shift[2].isFinite)
  }

  /// A tangent that is not finite on one rank is an overflow on all, so that all try again with smaller ones.
  @Test func aNonfiniteTangentOverflowsOnEveryRank() throws {
    let (channelA, channelB) = (channelA, channelB)
    for bad in [Double.nan, .infinity, -.infinity] {
      for index in 0..<6 {  // Σẋ, Σẋ(x − mean), Σẋȳ of two channels
        let overflown = try ThreadCommunicator.run(3) { communicator in
          let bench = Bench<Float16>(channels: 2)
          let sums =
            [channelA, channelB].map { $0.reduce(0, +) } + [channelA, channelB].map { $0.reduce(0) { $0 + $1 * $1 } }
          let state = try bench.norm.normalize(bench.sums(sums), bench.shape(5), bench.run(communicator))
          var tangentSums: [Double] = [1, 2, 3, 4, 5, 6]
          _ = try bench.norm.forwardTangent(state, bench.sums(tangentSums), bench.run(communicator))
          if communicator.rank == 1 { tangentSums[index] = bad }
          do {
            _ = try bench.norm.forwardTangent(state, bench.sums(tangentSums), bench.run(communicator))
            return false
          } catch is TangentOverflow {
            return true
          }
        }
        #expect(overflown == [true, true, true], "\(bad) in sum \(index)")
      }
    }
  }

  /// What is not finite in the gradient of J comes out of its coefficients, in its channel alone.
  @Test func nonfiniteSecondSumsComeOut() throws {
    let bench = Bench<Float16>(channels: 2)
    let (norm, alone) = (bench.norm, bench.run())
    let state = try norm.normalize(bench.sums(sums([channelA, channelA])), bench.shape(5), alone)
    let backward = try norm.backward(state, bench.sums([1, 2, 3, 4]), into: nil, alone)
    let tangent = try norm.forwardTangent(state, bench.sums([1, 2, 3, 4, 5, 6]), alone)
    for bad in [Double.nan, .infinity] {
      for index in [0, 2] {  // channel 0 of Σh, Σh(x − mean)
        var sums: [Double] = [1, 2, 3, 4]
        sums[index] = bad
        let gradients = ParameterGradients(count: 32)
        let base = try norm.backwardTangent(
          state, backward, tangent, weight: 0.1, bench.sums(sums), into: gradients, alone
        ).base
        #expect(!(base.a[0] + base.b[0] + base.c[0]).isFinite && (base.a[1] + base.b[1] + base.c[1]).isFinite)
        #expect(!gradients[norm.scale.range.lowerBound].isFinite)
        #expect(gradients[norm.scale.range.lowerBound + 1].isFinite)
      }
    }
  }
}
