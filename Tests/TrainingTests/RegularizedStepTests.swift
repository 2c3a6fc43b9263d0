import Collectives
import Foundation
import Tensors
import Testing
import Training

/// Whole steps with the gradient regularizer and adaptive L2.
@Suite struct RegularizedStepTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let settings: [String]
    var testDescription: String { settings.joined(separator: " ") }

    init(_ settings: String...) { self.settings = settings }
  }

  static let cases = [
    Case("msgr.norm=1"), Case("msgr.norm=2"), Case("msgr.norm=inf"), Case("msgr.at=[input]"), Case("msgr.at=[1]"),
    Case("msgr.at=[3]", "msgr.norm=1"), Case("msgr.at=[4]"), Case("msgr.at=[4,input,2]"),
    Case("model.head=baseline", "msgr.at=[input,3]"), Case("model.sharedPyramid=false"),
    Case("model.lateral=false", "msgr.at=[2]", "model.width=0.125"), Case("model.topDown=false", "msgr.at=[2]"),
    Case("model.stages=[2,4]", "msgr.at=[1,3]"),
    Case("model.lateral=false", "model.topDown=false", "model.fusion=false", "msgr.at=[2,4]"),
    Case("losses.triplet.weight=0"), Case("adaptiveL2.enabled=true", "adaptiveL2.initial=0.7"),
  ]

  /// In float64, central differences of J along random directions within a part of the network, as in the tests of the
  /// plain network: of several small steps one has to agree, because a ReLU, a mined pair or a largest element may switch
  /// within another.
  @Test(arguments: cases) func gradientIsTheDerivative(_ one: Case) throws {
    let training = try TinyTraining(Double.self, ["msgr.lambda=0.05"] + one.settings, SoloCommunicator())
    let step = training.step, layout = step.network.layout
    // Off the special values that a fresh network has: a dead channel's pre-activation would stand on the kink of its ReLU.
    var random = CounterRandom(seed: 5, purpose: .probing)
    for slot in layout.slots where slot.kind != .convolution && slot.kind != .linear {
      for i in slot.range { step.parameters.values[i] += 0.1 * random.normal() }
    }
    let loss = try training.differentiate()
    #expect(loss.total.isFinite && loss.msgr! > 0)
    let gradient = step.gradients.values.array, start = step.parameters.values.array
    for part in ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "pyramid", "fusion", "neck", "classifier"] {
      let slots = layout.slots.filter { $0.name.hasPrefix(part + ".") }
      guard !slots.isEmpty else { continue }
      var direction = [Double](repeating: 0, count: layout.count)
      for slot in slots { for i in slot.range { direction[i] = random.normal() } }
      let size = norm(slots.flatMap { Array(gradient[$0.range]) })
      var errors: [Double] = []
      for h in [1e-8, 1e-9, 1e-7, 1e-10] where !errors.contains(where: { $0 < 1e-4 }) {
        func moved(_ h: Double) throws -> Double {
          for i in direction.indices { step.parameters.values[i] = start[i] + h * direction[i] }
          return try training.differentiate().total
        }
        let difference = try (moved(h) - moved(-h)) / (2 * h)
        errors.append(abs(difference - dot(gradient, direction)) / size)
      }
      #expect(errors.contains { $0 < 1e-4 }, "\(one.testDescription), \(part): relative errors \(errors)")
    }
  }

  /// ∂J/∂r of every tensor.
  @Test func strengthsHaveTheirGradient() throws {
    let training = try TinyTraining(Double.self, "adaptiveL2.enabled=true", "adaptiveL2.initial=-0.4")
    _ = try training.differentiate()
    let penalty = try #require(training.step.penalty)
    #expect(penalty.adaptive.layout.slots.count == training.step.network.layout.slots.count)
    for slot in penalty.adaptive.layout.slots {
      let i = slot.range.lowerBound, gradient = penalty.adaptive.gradients[i], h = 1e-3
      func term(_ r: Double) throws -> Double {
        penalty.adaptive.values[i] = -0.4 + r
        return try #require(try training.differentiate().adaptiveL2)
      }
      guard slot == penalty.adaptive.layout.slots.first || slot == penalty.adaptive.layout.slots.last else { continue }
      let difference = try (term(h) - term(-h)) / (2 * h)
      penalty.adaptive.values[i] = -0.4
      #expect(abs(difference - gradient) < 1e-8 * max(1, abs(gradient)), "\(slot.name)")
    }
  }

  /// Shares in whole groups of four images, uneven ones, an empty one.
  private func sharded<E: Element>(_: E.Type, _ settings: [String], _ counts: [Int]) throws -> [(StepLoss, [Double])] {
    try ThreadCommunicator.run(counts.count) { communicator in
      let training = try TinyTraining(E.self, settings, communicator)
      let first = counts[..<communicator.rank].reduce(0, +)
      let loss = try training.differentiate(first..<first + counts[communicator.rank])
      return (loss, training.step.gradients.values.array)
    }
  }

  @Test(arguments: [
    ["msgr.at=[1,2]"], ["msgr.at=[input]", "msgr.norm=inf"],
    ["msgr.norm=1", "msgr.lambda=1e-4", "adaptiveL2.enabled=true"],
  ])
  func ranksComputeWhatOneComputes(_ settings: [String]) throws {
    let settings = ["msgr.lambda=0.05"] + settings
    let exact = try sharded(Double.self, settings, [6])[0]
    for counts in [[4, 2], [1, 3, 2], [3, 0, 1, 2]] {
      for (loss, gradient) in try sharded(Double.self, settings, counts) {
        #expect(abs(loss.total - exact.0.total) < 1e-11 * abs(exact.0.total))
        #expect(relativeError(gradient, exact.1) < 1e-9)
      }
    }
    let half = try sharded(Float16.self, settings, [6])[0], single = try sharded(Float.self, settings, [6])[0]
    for (loss, gradient) in try sharded(Float16.self, settings, [4, 2]) {
      #expect(gradient == half.1 && loss.msgr == half.0.msgr, "the same bits: \(relativeError(gradient, half.1))")
    }
    for (loss, gradient) in try sharded(Float.self, settings, [4, 2]) {
      #expect(gradient == single.1 && loss.msgr == single.0.msgr, "the same bits")
    }
  }

  @Test func withoutLambdaItIsThePlainStep() throws {
    let plain = try TinyTraining(Float16.self)
    let off = try TinyTraining(Float16.self, "msgr.lambda=0", "msgr.norm=1", "msgr.at=[input,4]")
    for number in 0..<2 {
      #expect(try plain.run(number).loss.msgr == nil)
      #expect(try off.run(number).loss.msgr == nil)
    }
    #expect(off.everything == plain.everything)
  }

  /// Tangents that overflow float16 are computed again at a smaller scale, within the step; one that is far too small
  /// gives a wrong gradient.
  @Test func tangentsThatOverflowAreScaledDown() throws {
    let usual = try TinyTraining(Float16.self, "msgr.lambda=0.05", "lossScale.initial=1")
    _ = try usual.differentiate()
    let expected = usual.step.gradients.values.array
    let large = try TinyTraining(Float16.self, "msgr.lambda=0.05", "lossScale.initial=1")
    large.step.tangentScale = DynamicScale(initial: 0x1p24, growthInterval: 1000, isDynamic: true)
    #expect(try large.differentiate().total.isFinite)
    #expect(large.step.tangentScale.scale < 0x1p24)
    #expect(relativeError(large.step.gradients.values.array, expected) < 0.1)
    let result = try large.run(1)
    #expect(result.skippedFor == nil && result.tangents == nil, "\(result)")
  }

  /// Where the gradients themselves overflow, the step is skipped, and the tangents' scale is not to blame.
  @Test(arguments: ["1", "2", "inf"]) func gradientsThatOverflowSkipTheStep(_ norm: String) throws {
    let training = try TinyTraining(
      Float16.self, "msgr.lambda=0.05", "msgr.norm=\(norm)", "lossScale.initial=\(0x1p24)")
    let before = training.everything, scale = training.step.tangentScale
    let result = try training.run(0)
    #expect(result.skippedFor != nil && training.everything == before && training.step.tangentScale == scale)
    #expect(training.step.lossScale.scale == 0x1p23)
  }

  @Test func debugReportsHowTheTangentsFit() throws {
    let training = try TinyTraining(Float16.self, "msgr.lambda=0.05", "log.level=debug")
    let report = try #require(try training.run(0).tangents)
    #expect(report.zeros >= 0 && report.zeros < 0.5 && report.largest > 1e-3 && report.largest <= 65504)
    #expect(report.scale == training.step.tangentScale.scale)
  }

  /// The strengths move, within their range, and a constant penalty is weight decay of twice the strength.
  @Test func strengthsAreTrained() throws {
    let trained = try TinyTraining(Float.self, "adaptiveL2.enabled=true")
    let constant = try TinyTraining(Float.self, "adaptiveL2.enabled=true", "adaptiveL2.trained=false")
    let decayed = try TinyTraining(Float.self, "optimizer.weightDecay=0.005")
    for number in 0..<2 { for one in [trained, constant, decayed] { #expect(try one.run(number).skippedFor == nil) } }
    let strengths = trained.step.penalty!.adaptive.strengths.map(\.strength)
    #expect(strengths.allSatisfy { $0 > 0 && $0 < 0.005 && $0 != 0.0025 })
    #expect(constant.step.penalty!.adaptive.strengths.allSatisfy { $0.strength == 0.0025 })
    let error = relativeError(
      constant.step.parameters.values.array.map { Double($0) }, decayed.step.parameters.values.array.map { Double($0) })
    #expect(error < 1e-4)
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
private func norm(_ a: [Double]) -> Double { dot(a, a).squareRoot() }

/// ‖a − b‖ / ‖b‖, or infinite where the counts differ.
private func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let difference = norm(zip(a, b).map { $0 - $1 })
  return difference == 0 ? 0 : difference / norm(b)
}
