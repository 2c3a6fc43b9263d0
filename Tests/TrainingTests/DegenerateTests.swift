import Collectives
import Tensors
import Testing

import Training

/// Systems in the setting in which they are nothing: the plain run, to the last bit.
@Suite struct DegenerateTests {
  private static let plain = ["model.trunk=resnet18", "model.head=baseline"]

  private static func head(_ text: String) -> String { "model.heads=[{sources: [stage4], \(text)}]" }

  /// Three steps, in two precisions, one of them on two ranks.
  @Test(arguments: [
    (["model.attention={dgdm: {channelRate: 0, erasing: 1, threshold: 1}}"], ["model.attention=none"]),
    ([head("groups: [0, 1, 2]")], [head("pool: average")]),
    ([head("mask: {topRows: {height: 0}}")], [head("mask: none")]),
    (
      [head("classifier: cosine, losses: [{margin: {kind: additive, entropy: 0}}]")],
      [head("classifier: cosine, losses: [{margin: {kind: additive}}]")]
    ),
    (
      [head("losses: [crossEntropy, {topRank: {weight: 0}}, {rankedList: {weight: 0}}]")],
      [head("losses: [crossEntropy]")]
    ),
    (["normLoss.lambda=0"], []),
  ]) func isThePlainRun(_ degenerate: [String], _ usual: [String]) throws {
    let one = DigestTests.Case("degenerate", Self.plain + degenerate),
      other = DigestTests.Case("plain", Self.plain + usual)
    #expect(try digest(Float16.self, one, [12]) == digest(Float16.self, other, [12]))
    #expect(try digest(Float.self, one, [8, 4]) == digest(Float.self, other, [8, 4]))
  }

  private func digest<E: Element>(_: E.Type, _ one: DigestTests.Case, _ counts: [Int]) throws -> [String] {
    try DigestTests.digest(E.self, one, .blas, counts, steps: 3)
  }

  /// Systems that are a head more, with nothing that it learns by: what the network without it has, it has after three steps.
  @Test(arguments: [
    ("model.branch=groie", "{name: more, sources: [branch], losses: [{crossEntropy: {weight: 0}}]}"),
    ("model.branch=none", "{name: more, sources: [stage3], pool: attention, losses: [{crossEntropy: {weight: 0}}]}"),
    ("model.branch=none", "{name: more, sources: [stage2, stage3, stage4], losses: [{rankedList: {weight: 0}}]}"),
    (
      "model.branch=bottlenecks",
      "{name: more, sources: [branch], mask: topRows, pool: max, losses: [{crossEntropy: {weight: 0}}]}"
    ),
    ("data.parts=0.5", "{name: more, sources: [stage4], label: part, losses: [{crossEntropy: {weight: 0}}]}"),
  ]) func aHeadThatCountsNothingChangesNothing(_ setting: String, _ head: String) throws {
    func parameters<E: Element>(_: E.Type, _ settings: [String]) throws -> [String: [Double]] {
      let training = try TinyTraining(E.self, ["model.trunk=resnet18"] + settings, SoloCommunicator())
      for number in 0..<3 { _ = try training.run(number) }
      let values = training.step.parameters.values
      return Dictionary(
        uniqueKeysWithValues: training.step.network.layout.slots.map { slot in
          (slot.name, slot.range.map { Double(values[$0]) })
        })
    }
    // Its maps are those of the pyramid for GRoIE, of the trunk for the others.
    let paper = setting.hasSuffix("groie") ? "msfl" : "baseline"
    let sources = paper == "msfl" ? "[level1, level2, level3, level4]" : "[stage4]"
    func compare<E: Element>(_: E.Type) throws {
      let usual = ["model.head=\(paper)"], first = "{name: first, sources: \(sources)}"
      let plain = try parameters(E.self, usual + ["model.heads=[\(first)]"])
      let found = try parameters(E.self, usual + ["model.heads=[\(first), \(head)]", setting])
      #expect(found.count > plain.count)
      for (name, values) in plain { #expect(found[name] == values, "\(name)") }
    }
    try compare(Float16.self)
    try compare(Float.self)
  }

  /// What begins with a factor of 0 begins as the plain network.
  @Test(arguments: ["scan", "decoupled", "{decoupled: {norms: false}}"]) func beginsAsThePlainNetwork(
    _ attention: String
  )
    throws
  {
    func loss<E: Element>(_: E.Type, _ settings: [String]) throws -> Double {
      let training = try TinyTraining(E.self, Self.plain + settings, SoloCommunicator())
      return try training.differentiate().total
    }
    #expect(try loss(Float16.self, ["model.attention=\(attention)"]) == loss(Float16.self, []))
    #expect(try loss(Double.self, ["model.attention=\(attention)"]) == loss(Double.self, []))
  }

  /// Gates that are open (with BAM, which adds what passes them: shut) let through what comes: the loss is that of the plain
  /// network to the last bit, and but for the order in which gradients of a stage's output are added up, so is what all else
  /// learns.
  @Test(arguments: [
    ("model.pyramid=pam", 1000.0), ("model.pyramid=darn", 1000), ("model.attention=bam", -1000),
    ("model.attention=apm", 1000), ("model.attention=gsam", 1000),
  ]) func openGatesAreThePlainNetwork(_ gates: String, _ bias: Double) throws {
    func gradients(_ settings: [String]) throws -> (loss: Double, gradients: [String: [Double]]) {
      let training = try TinyTraining(Double.self, ["model.trunk=resnet18"] + settings, SoloCommunicator())
      let layout = training.step.network.layout, values = training.step.parameters.values
      for slot in layout.slots where Self.isGate(slot.name) && (slot.kind == .bias || Self.isShiftOfGSAM(slot.name)) {
        for i in slot.range { values[i] = bias }
      }
      let loss = try training.differentiate().total, all = training.step.gradients.values
      return (
        loss, Dictionary(uniqueKeysWithValues: layout.slots.map { slot in (slot.name, slot.range.map { all[$0] }) })
      )
    }
    let plain = try gradients([]), gated = try gradients([gates])
    #expect(gated.loss == plain.loss)
    for (name, values) in plain.gradients {
      let largest = values.reduce(0) { max($0, abs($1)) }
      let apart = try zip(#require(gated.gradients[name]), values).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(apart <= 1e-12 * largest, "\(name)")
    }
    let own = gated.gradients.filter { plain.gradients[$0.key] == nil }
    #expect(!own.isEmpty && own.keys.allSatisfy(Self.isGate))
    #expect(own.values.allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  /// Its gates end in a norm; shifts of those before are taken off again by the norms behind them.
  private static func isShiftOfGSAM(_ name: String) -> Bool {
    name.contains(".gate.level") && name.hasSuffix(".1.bias")
  }

  private static func isGate(_ name: String) -> Bool {
    name.hasPrefix("pyramid.inputs.") || name.hasPrefix("pyramid.gates.") || name.contains(".gate.")
  }
}
