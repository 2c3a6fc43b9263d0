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
}
