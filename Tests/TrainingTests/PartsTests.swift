import Collectives
import Layers
import Losses
import Network
import Tensors
import Testing

import Training

/// Every part that a configuration can choose, in whole steps: the gradient is that of the loss, also with the gradient
/// regularizer, and any number of ranks takes the same course.
@Suite struct PartsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let settings: [String]
    var testDescription: String { settings.joined(separator: " ") }

    init(_ settings: String...) { self.settings = settings }
  }

  private static func head(_ text: String) -> String { "model.heads=[{sources: [stage4], \(text)}]" }

  static let cases = [
    Case("model.trunk=resnet18", "model.head=baseline"), Case("model.trunk=resnet34", "model.norm=ibn-a"),
    Case("model.norm=ibn-a", "model.head=baseline"), Case("model.attention=se", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention.se.reduction=2", "model.head=baseline"),
    Case("model.attention=eca", "model.head=baseline"),
    Case("model.attention={eca: {kernel: 5}}", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention=pixel"), Case("model.trunk=resnet18", "model.attention=pixelChannel"),
    Case("model.attention=nonLocal", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention={nonLocal: {blocks: [1,2,9,0], channels: 0}}"),
    Case("model.attention={bam: {reduction: 4}}", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention={apm: {reduction: 4}}", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention=gsam", "model.head=baseline"),
    Case("model.attention=atac", "model.head=baseline"), Case("model.trunk=resnet18", "model.attention=atac"),
    Case("model.trunk=resnet18", "model.attention=scan", "model.lastStride=1"),
    Case("model.trunk=resnet18", "model.attention=decoupled", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention={decoupled: {norms: false}}", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.attention={dgdm: {erasing: 0.5}}", "model.head=baseline"),
    Case("model.trunk=osnet", "model.attention=scan", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.filters=aligned", "model.head=baseline"),
    Case("model.trunk=resnet18", "model.filters=aligned", "model.norm=bias", "model.head=baseline"),
    Case("model.norm=bias", "model.attention=se"),
    Case("model.trunk=resnet18", "model.head=baseline", "normLoss.lambda=0.1"),
    Case("model.trunk=osnet", "model.stages=[2,4]"),
    Case("model.trunk=osnet", "model.attention=eca", "model.head=baseline"),
    Case("model.trunk=osnetAin", "model.head=baseline"), Case("model.trunk=osnetAin", "model.attention=pixel"),
    Case("losses.crossEntropy.smoothing=0.1", "losses.triplet.soft=true", "model.trunk=resnet18"),
    Case("model.trunk=resnet18", "model.head=baseline", head("neck: bnneck, classifier: {linear: {bias: false}}")),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("neck: {prelu: {length: 12}}, losses: [crossEntropy, {triplet: {soft: true}}]")),
    Case("model.trunk=resnet18", "model.head=baseline", head("pool: gem, losses: [{focal: {exponent: 1.5}}]")),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("pool: max, mask: {stripe: {height: 0.5}}, losses: [crossEntropy, {centre: {weight: 0.1}}]")),
    Case("model.trunk=resnet18", "model.head=baseline", head("mask: {channels: {rate: 0.3}}")),
    Case(
      "model.trunk=resnet18", "model.head=baseline", "model.lastStride=1",
      head("bands: 3, band: 2, mask: channels, pool: gem")),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      "model.heads=[{name: a}, {name: upper, sources: [stage3, stage4], bands: 2}]"),
    Case("model.trunk=resnet18", "model.head=baseline", head("losses: [crossEntropy, weightedTriplet]")),
    Case(
      "model.trunk=resnet18", "model.head=baseline", head("losses: [crossEntropy, {contrastive: {margin: 6}}]")),
    Case("model.trunk=resnet18", "model.head=baseline", head("losses: [crossEntropy, topRank]")),
    Case(
      "model.trunk=resnet18", "model.head=baseline", head("losses: [{topRank: {asymmetry: 2, shape: 0.5, steps: 100}}]")
    ),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("classifier: cosine, losses: [{margin: {kind: additive, scale: 8, margin: 0.1, entropy: 0.9}}]")),
    Case("model.trunk=resnet18", "model.head=baseline", "model.lastStride=1", head("pool: attention")),
    Case(
      "model.trunk=resnet18", "model.head=baseline", "model.branch=bottlenecks",
      "model.heads=[{name: a, sources: [branch], mask: {topRows: {height: 0.5}}, pool: max}, {name: b, sources: [branch, stage4]}]"
    ),
    Case(
      "model.trunk=resnet18", "model.branch={bottlenecks: {count: 1}}",
      "model.heads=[{sources: [branch, level1, level2, level3, level4]}]"),
    Case(
      "model.trunk=resnet18", "model.head=baseline", "model.lastStride=1",
      head("mask: {topRows: {height: 0.5}}, pool: max")),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("classifier: cosine, losses: [{margin: {kind: additive, scale: 8, margin: 0.3}}]")),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("classifier: cosine, neck: bnneck, losses: [{margin: {kind: angular, scale: 8, margin: 0.3}}]")),
    Case(
      "model.trunk=resnet18",
      "model.heads=[{name: a, losses: [crossEntropy]}, {name: b, sources: [stage3, level1], neck: bnneck, pool: gem}]"),
    Case(
      "model.trunk=resnet18", "model.head=baseline", "data.parts=0.5",
      "model.heads=[{name: who}, {name: part, label: part, losses: [crossEntropy], retrieve: false}]"),
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      "model.heads=[{name: who}, {name: where, label: camera, losses: [crossEntropy], retrieve: false}]"),
    Case("model.trunk=resnet18", "model.stages=[2,4]", "model.heads=[{sources: [stage1, level2, stage3, level4]}]"),
    Case("model.trunk=resnet18", "model.pyramid={pam: {reduction: 4}}"),
    Case(
      "model.trunk=resnet18", "model.pyramid=pam", "model.stages=[2,4]", "model.topDown=false",
      "model.heads=[{sources: [stage1, level2, stage2, stage4, level4]}]"),
    Case("model.trunk=resnet18", "model.pyramid={darn: {reduction: 4}}"),
    Case(
      "model.trunk=resnet18", "model.pyramid=darn", "model.stages=[2,3,4]", "model.sharedPyramid=false",
      "model.heads=[{name: a}, {name: b, sources: [stage2, stage4]}]"),
    Case("model.trunk=resnet18", "model.branch=groie", "model.heads=[{sources: [branch]}]"),
    Case(
      "model.trunk=resnet18", "model.branch={groie: {kernel: 3, attention: false}}", "model.stages=[2,4]",
      "model.heads=[{name: a}, {name: b, sources: [branch, level2, stage3]}]"),
  ]

  /// With constants in their gradients that depend on parameters, as automatic differentiation has `detach`: these are not the
  /// derivative of the loss (see `TermTests` and `SpectralFiltersTests` for them).
  static let detached = [
    Case(
      "model.trunk=resnet18", "model.head=baseline",
      head("classifier: cosine, losses: [{margin: {kind: circle, scale: 8, margin: 0.25}}]")),
    Case("model.trunk=resnet18", "model.head=baseline", head("losses: [crossEntropy, rankedList]")),
    Case("model.trunk=resnet18", "model.filters=spectral", "model.attention=scan", "model.head=baseline"),
  ]

  /// In float64, the derivative of J along a random direction of all parameters, by central differences. Gates and winners
  /// stay where they are for steps this small.
  @Test(arguments: cases, [0, 0.02]) func theGradientIsThatOfTheLoss(_ one: Case, _ lambda: Double) throws {
    let training = try TinyTraining(
      Double.self, ["lossScale.initial=1", "msgr.lambda=\(lambda)", "msgr.at=[1,3]"] + one.settings, SoloCommunicator())
    let parameters = training.step.parameters.values, layout = training.step.network.layout
    var random = CounterRandom(seed: 7, purpose: .probing)
    for slot in layout.slots where ![.convolution, .linear, .exponent].contains(slot.kind) {
      for i in slot.range { parameters[i] += 0.1 * random.normal() }
    }
    _ = try training.differentiate()
    let gradient = training.step.gradients.values.array
    #expect(gradient.allSatisfy(\.isFinite) && gradient.contains { $0 != 0 })
    var direction = [Double](repeating: 0, count: gradient.count)
    for slot in layout.slots {
      for i in slot.range { direction[i] = random.normal() / Double(slot.count).squareRoot() }
    }
    func loss(_ step: Double) throws -> Double {
      for i in direction.indices { parameters[i] += step * direction[i] }
      defer { for i in direction.indices { parameters[i] -= step * direction[i] } }
      return try training.differentiate().total
    }
    let h = 1e-8, difference = try (loss(h) - loss(-h)) / (2 * h)
    let analytic = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(difference - analytic) < 1e-4 * max(1, abs(analytic)), "\(difference) and \(analytic)")
  }

  /// Every word that can be chosen is chosen in some case: a part that is not tried is not checked.
  @Test func everyPartIsTried() throws {
    let configurations = try (Self.cases + Self.detached).map { try Configuration.resolve(settings: $0.settings) }
    let heads = configurations.flatMap(\.model.heads)
    func expectAll<Kind: CaseIterable & Hashable>(_ tried: [Kind], but left: Set<Kind> = []) {
      #expect(Set(tried).union(left) == Set(Kind.allCases))
    }
    // ResNet-101 has the layers of ResNet-50, more often.
    expectAll(configurations.map(\.model.trunk), but: [.resnet101])
    expectAll(configurations.map(\.model.norm))
    expectAll(configurations.map(\.model.filters))
    expectAll(configurations.map(\.model.branch.kind))
    expectAll(configurations.map(\.model.pyramid.kind))
    expectAll(configurations.map(\.model.attention.kind))
    expectAll(heads.map(\.mask.kind))
    expectAll(heads.map(\.pool))
    expectAll(heads.map(\.neck.kind))
    expectAll(heads.map(\.classifier.kind))
    expectAll(heads.map(\.label))
    expectAll(heads.flatMap { $0.losses.map(\.kind) })
    expectAll(
      heads.flatMap { $0.losses.compactMap { ($0.term as? Margin)?.kind } })
  }

  /// No case is the usual network and loss by another name, and no two are one: a choice that does nothing shows here.
  @Test func everyCaseIsAnother() throws {
    var found: [String: String] = [:]
    for one in [Case()] + Self.cases + Self.detached {
      let settings = DigestTests.Case(one.testDescription, one.settings)
      let digest = try DigestTests.digest(Float.self, settings, .blas, [12], steps: 2)[0]
      if let same = found.updateValue(one.testDescription, forKey: digest) {
        Issue.record("\(one.testDescription) does what \(same.isEmpty ? "the defaults do" : same + " does")")
      }
    }
  }

  /// What a rehearsal counts is what the layout has: no layer forgets to say which parameters it uses.
  @Test(arguments: cases + detached) func everyParameterIsCounted(_ one: Case) throws {
    let configuration = try Configuration.resolve(
      settings: one.settings + ["model.width=0.0625", "model.embedding=32"])
    let network = ReIDNetwork<Float>(Architecture(configuration.model, identities: 5, cameras: 2))
    let counted = try network.inventory(height: 64, width: 32).rows.reduce(0) { $0 + $1.parameters }
    // Centres are the loss's, which a forward pass does not reach.
    #expect(counted == network.layout.slots.reduce(0) { $1.kind == .centre ? $0 : $0 + $1.count })
  }

  @Test(arguments: cases + detached) func anyNumberOfRanksTakesTheSameCourse(_ one: Case) throws {
    for lambda in ["0", "0.02"] {
      let settings = DigestTests.Case(one.testDescription, one.settings + ["msgr.lambda=\(lambda)"])
      let alone = try DigestTests.digest(Float16.self, settings, .blas, [12], steps: 3)[0]
      for counts in [[8, 4], [4, 4, 4]] {
        let found = try DigestTests.digest(Float16.self, settings, .blas, counts, steps: 3)
        #expect(found.allSatisfy { $0 == alone }, "\(counts), λ \(lambda)")
      }
    }
  }
}
