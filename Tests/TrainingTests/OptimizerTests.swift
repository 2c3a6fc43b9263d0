import Collectives
import Layers
import Tensors
import Testing
import Training

/// Every optimizer with every kind of group beside PyTorch 2.15, in float64.
@Suite struct OptimizerTests {
  /// A norm and a convolution of a trunk, a linear layer and its bias behind it.
  private static let layout = {
    var layout = ParameterLayout()
    _ = layout.add("conv.weight", .convolution, shape: [3, 1, 1, 1])
    _ = layout.add("bn.weight", .normScale, shape: [2])
    _ = layout.add("fc.weight", .linear, shape: [2, 1])
    _ = layout.add("fc.bias", .bias, shape: [1])
    return layout
  }()

  struct Case: Sendable, CustomTestStringConvertible {
    let settings: [String]
    let expected: [Double]
    var testDescription: String { settings.joined(separator: " ") }

    init(_ settings: String..., expected: Double...) { (self.settings, self.expected) = (settings, expected) }
  }

  /// `expected` by this program, with `make` and `clip` of the case, betas=(0.9, 0.5):
  ///
  ///     sizes, first = [3, 2, 2, 1], [0, 3, 5, 7]
  ///     ps = [torch.tensor([(i + o) / 8 - 0.5 for i in range(n)]).requires_grad_() for n, o in zip(sizes, first)]
  ///     factors = [(0.5, 1), (0.5, 0), (2, 3), (2 * 4, 3 * 0.5)]
  ///     opt = make([{"params": [p], "lr": 0.05 * l, "weight_decay": 0.1 * d} for p, (l, d) in zip(ps, factors)])
  ///     for t in range(6):
  ///         for p, o in zip(ps, first):
  ///             p.grad = torch.tensor([((7 * (i + o) + 3 * t) % 11 - 5) / 4 + 0.25 * p[i].item() for i in range(len(p))])
  ///         if t < 2: ps[0].grad = ps[1].grad = None
  ///         if clip: torch.nn.utils.clip_grad_norm_(ps, clip)
  ///         opt.step()
  @Test(arguments: [
    Case(
      "optimizer.kind=adam",
      expected: -0.5311263917128103, -0.31343201110432944, -0.262434219625306, -0.09970244795593051,
      0.05239256619048489,
      0.33503258817343956, 0.061092853467664764, -0.0017892548956457352),
    Case(
      "optimizer.decay=decoupled",
      expected: -0.529344674745852, -0.31275085524638957, -0.26232698258993553, -0.09970244795593051,
      0.05239256619048489,
      0.33707158884497224, 0.06468058161112887, 0.019452656956450744),
    Case(
      "optimizer.kind=amsgrad",
      expected: -0.5328011636263243, -0.3202188211352146, -0.2648430390661941, -0.10166345108283274,
      0.04395758386102717,
      0.30585020399376, 0.07022289599440594, -0.07045149471779903),
    Case(
      "optimizer.kind={sgd: {momentum: 0}}",
      expected: -0.4823488835095215, -0.33112009386077884, -0.24745392417053225, -0.09686584491729738,
      -0.012965582275390632, 0.2161300615317207, 0.11575312254078517, -0.06415264614400006),
    Case(
      "optimizer.kind=sgd",
      expected: -0.4953298726696776, -0.2869063618539428, -0.2482385110357666, -0.09668602619171145,
      0.04643705444335939,
      0.4257102733405098, -0.1644963839197617, 0.152884542656),
    Case(
      "optimizer.kind={sgd: {nesterov: true}}",
      expected: -0.4775634917456655, -0.2534975059801307, -0.24532839648469734, -0.07122595389253618,
      0.02734185019470217, 0.4368113489749437, -0.19388603825858367, -0.2567158224193392),
  ])
  func takesTheStepsOfPyTorch(_ one: Case) throws {
    let configuration = try Configuration.resolve(
      settings: [
        "optimizer.weightDecay=0.1", "optimizer.beta2=0.5", "optimizer.factors.trunk.learningRate=0.5",
        "optimizer.factors.norms.weightDecay=0", "optimizer.factors.heads.learningRate=2",
        "optimizer.factors.heads.weightDecay=3", "optimizer.factors.biases.learningRate=4",
        "optimizer.factors.biases.weightDecay=0.5",
      ] + one.settings)
    let layout = Self.layout, scale = 1024.0
    let context = try Machine(SoloCommunicator(), threads: 2).context(Double.self, configuration)
    let groups = ParameterGroup.groups(
      of: layout, trunk: ["conv.weight", "bn.weight"], configuration.optimizer.factors, decays: true)
    #expect(groups.count == 4)
    let optimizer = Optimizer<Double>(groups, configuration.optimizer)
    let values = Buffer<Double>(count: layout.count), gradients = ParameterGradients(count: layout.count)
    let places = layout.slots.flatMap(\.range)
    for (i, place) in places.enumerated() { values[place] = Double(i) / 8 - 0.5 }
    for t in 0..<6 {
      for (i, place) in places.enumerated() {
        gradients.values[place] = scale * (Double((7 * i + 3 * t) % 11 - 5) / 4 + 0.25 * values[place])
      }
      optimizer.update(
        values, gradients, gradientScale: 1 / scale, learningRate: 0.05, freezesTrunk: t < 2, context)
    }
    for (place, expected) in zip(places, one.expected) {
      #expect(abs(values[place] - expected) < 1e-14, "\(values[place]), expected \(expected)")
    }
    #expect((0..<layout.count).allSatisfy { places.contains($0) || values[$0] == 0 })
  }

  /// Exponents and centres are never decayed, and with adaptive L2 nothing is.
  @Test func weightDecaySparesWhatItWouldRuin() {
    var layout = Self.layout
    let exponent = layout.add("pool.p", .exponent, shape: [1]), factors = Configuration.Optimization.Factors()
    let groups = ParameterGroup.groups(of: layout, trunk: [], factors, decays: true)
    #expect(groups.map(\.range) == [0..<exponent.range.lowerBound, exponent.range.lowerBound..<layout.count])
    #expect(groups.map(\.decayFactor) == [1, 0])
    #expect(ParameterGroup.groups(of: layout, trunk: [], factors, decays: false).map(\.decayFactor) == [0])
  }

  /// A step by gradient descent moves all parameters together by rate · min(clipNorm, norm), along the same line.
  @Test func longGradientsAreShortened() throws {
    func moved(_ settings: String...) throws -> (by: [Double], norm: Double?) {
      let training = try TinyTraining(
        Double.self, ["optimizer.kind={sgd: {momentum: 0}}", "optimizer.weightDecay=0"] + settings, SoloCommunicator())
      let before = training.step.parameters.values.array, result = try training.run(0)
      return (zip(training.step.parameters.values.array, before).map(-), result.gradientNorm)
    }
    func length(_ by: [Double]) -> Double { by.reduce(0) { $0 + $1 * $1 }.squareRoot() / 1e-3 }
    let free = try moved(), loose = try moved("optimizer.clipNorm=1e6"), short = try moved("optimizer.clipNorm=0.25")
    let norm = try #require(short.norm)
    #expect(free.norm == nil && loose.norm == norm && abs(length(free.by) - norm) < 1e-9 * norm && norm > 1)
    #expect(free.by == loose.by && abs(length(short.by) - 0.25) < 1e-6)
    for (free, short) in zip(free.by, short.by) { #expect(abs(short - free * 0.25 / norm) < 1e-9) }
  }

  /// The trunk stays to the bit, its running statistics and the rest move; then all does.
  @Test func theTrunkCanBeFrozen() throws {
    let training = try TinyTraining(Float.self), network = training.step.network
    func state() -> [String: [Float]] {
      Dictionary(
        uniqueKeysWithValues: network.layout.slots.map {
          ($0.name, Array(training.step.parameters.values.span[$0.range]))
        })
    }
    let start = state(), statistics = training.step.parameters.statistics.array
    for number in 0..<2 { _ = try training.run(number, freezesTrunk: true) }
    let frozen = state()
    for (name, values) in frozen { #expect((values == start[name]) == network.trunkTensors.contains(name), "\(name)") }
    #expect(training.step.parameters.statistics.array != statistics && training.step.optimizer.frozenSteps == 2)
    _ = try training.run(2)
    let after = state()
    #expect(after.allSatisfy { $1 != frozen[$0] })
  }

  /// ã ← ã + (1 − δ_t)(a − ã), δ_t = min(δ, (1 + t)/(10 + t)), in plain arithmetic.
  @Test func theAverageFollowsTheWeights() throws {
    let training = try TinyTraining(Double.self, "average.decay=0.3"), average = try #require(training.step.average)
    var expected = training.step.parameters.values.array, statistics = training.step.parameters.statistics.array
    #expect(average.parameters.values.array == expected)
    for t in 1...4 {
      _ = try training.run(t)
      let share = 1 - min(0.3, Double(1 + t) / Double(10 + t))
      for (i, value) in training.step.parameters.values.array.enumerated() {
        expected[i] += share * (value - expected[i])
      }
      for (i, value) in training.step.parameters.statistics.array.enumerated() {
        statistics[i] += share * (value - statistics[i])
      }
    }
    #expect(zip(average.parameters.values.array, expected).allSatisfy { abs($0 - $1) < 1e-13 })
    #expect(zip(average.parameters.statistics.array, statistics).allSatisfy { abs($0 - $1) < 1e-13 })
    #expect(average.updates == 4 && average.parameters.values.array != training.step.parameters.values.array)
  }
}
