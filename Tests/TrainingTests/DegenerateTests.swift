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

  /// Gates that are open let through what comes: the loss is that of the plain pyramid to the last bit, and but for the order in
  /// which gradients of a stage's output are added up, so is what all else learns.
  @Test(arguments: ["pam", "darn"]) func openGatesAreThePlainPyramid(_ gates: String) throws {
    func gradients(_ settings: [String]) throws -> (loss: Double, gradients: [String: [Double]]) {
      let training = try TinyTraining(Double.self, ["model.trunk=resnet18"] + settings, SoloCommunicator())
      let layout = training.step.network.layout, values = training.step.parameters.values
      for slot in layout.slots where slot.kind == .bias && Self.isGate(slot.name) {
        for i in slot.range { values[i] = 1000 }
      }
      let loss = try training.differentiate().total, all = training.step.gradients.values
      return (
        loss, Dictionary(uniqueKeysWithValues: layout.slots.map { slot in (slot.name, slot.range.map { all[$0] }) })
      )
    }
    let plain = try gradients([]), gated = try gradients(["model.pyramid=\(gates)"])
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

  private static func isGate(_ name: String) -> Bool {
    name.hasPrefix("pyramid.inputs.") || name.hasPrefix("pyramid.gates.")
  }
}
