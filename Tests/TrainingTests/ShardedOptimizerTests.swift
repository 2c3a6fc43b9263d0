import Collectives
import Foundation
import Kernels
import Layers
import Tensors
import TestSupport
import Testing
import Training

/// `optimizer.sharded`: every rank moves its part of the parameters, and nothing is different by a bit.
@Suite struct ShardedOptimizerTests {
  private static let small = ["model.trunk=resnet18", "model.head=baseline", "model.width=0.0625"]

  /// Parameters, statistics and moments after three steps, on one rank and on several that share them out.
  @Test(arguments: [
    [], ["optimizer.kind=amsgrad"], ["optimizer.kind={sgd: {nesterov: true}}"], ["communication.wire=int32"],
    ["adaptiveL2.enabled=true", "adaptiveL2.amplitude=0.01"], ["msgr.lambda=0.01", "normLoss.lambda=0.01"],
    ["average.decay=0.9"], ["optimizer.decay=decoupled", "optimizer.factors.trunk.learningRate=0.3"],
    ["model.heads=[{name: a, sources: [stage3], losses: [crossEntropy, centre]}, {name: b, neck: bnneck}]"],
  ]) func movesWhatOneRankMoves(_ settings: [String]) throws {
    func check<E: Element>(_: E.Type, _ shares: [[Int]]) throws {
      let plain = try digest(E.self, settings, [12], sharded: false)
      for shares in shares { #expect(try digest(E.self, settings, shares, sharded: true) == plain, "\(shares)") }
    }
    try check(Float16.self, settings.isEmpty ? [[8, 4], [4, 4, 4]] : [[4, 4, 4]])
    if settings.isEmpty { try check(Float.self, [[4, 8]]) }
  }

  /// With the pyramid, and in networks of which some layers copy weights before the step begins.
  @Test(arguments: [["model.head=msfl"], ["model.trunk=osnet"], ["model.attention=gsam"]])
  func readsNothingBeforeItIsThere(
    _ network: [String]
  ) throws {
    let plain = try digest(Float16.self, network, [12], sharded: false)
    #expect(try digest(Float16.self, network, [4, 4, 4], sharded: true) == plain)
  }

  /// Sums of wires that round are those of these ranks without shards.
  @Test(arguments: ["float32", "float16"]) func otherWiresRoundAlike(_ wire: String) throws {
    let settings = ["communication.wire=\(wire)"]
    let plain = try digest(Float16.self, settings, [8, 4], sharded: false)
    #expect(try digest(Float16.self, settings, [8, 4], sharded: true) == plain)
  }

  private func digest<E: Element>(_: E.Type, _ settings: [String], _ shares: [Int], sharded: Bool) throws -> String {
    let one = DigestTests.Case("sharded", Self.small + settings + ["optimizer.sharded=\(sharded)"])
    return try DigestTests.digest(E.self, one, .blas, shares, steps: 3)[0]
  }

  /// A rank keeps the moments of its own part, and the parts are all.
  @Test func momentsAreSharedOut() throws {
    let counts = try ThreadCommunicator.run(3) { communicator in
      let step = try TinyTraining(
        Float16.self, Self.small + ["optimizer.sharded=true", "communication.bucketMegabytes=1"], communicator
      ).step
      #expect(step.isSharded && step.optimizer.moments.allSatisfy { $0.values.count == step.optimizer.shards.count })
      return [step.optimizer.shards.count, step.network.layout.count]
    }
    #expect(counts.map { $0[0] }.reduce(0, +) == counts[0][1])
    #expect(counts.allSatisfy { abs($0[0] - $0[1] / 3) < $0[1] / 30 })
  }

  /// An Inf on one rank's part is seen by all, and no step is made.
  @Test func whatOneRankSeesAllKnow() throws {
    let outcomes = try ThreadCommunicator.run(2) { communicator in
      let training = try TinyTraining(
        Float16.self, Self.small + ["optimizer.sharded=true", "lossScale.initial=18446744073709551616"], communicator)
      let before = training.step.parameters.values.array, result = try training.run(0)
      try training.step.settle()
      return [result.skippedFor ?? "", training.step.parameters.values.array == before ? "same" : "moved"]
    }
    #expect(outcomes[0] == outcomes[1] && outcomes[0][0] != "" && outcomes[0][1] == "same")
  }

  /// What a checkpoint of shards holds is what one of whole moments does; either goes on from it.
  @Test func checkpointsAreWhole() throws {
    let folder = try TemporaryFolder()
    func train(_ ranks: Int, sharded: Bool, from: String?, to name: String) throws -> String {
      let path = "\(folder.path)/\(name)"
      return try ThreadCommunicator.run(ranks) { communicator in
        let training = try TinyTraining(
          Float16.self, Self.small + ["optimizer.sharded=\(sharded)", "communication.bucketMegabytes=1"], communicator)
        if let from { try Checkpoint(path: from).restore(into: training.step) }
        for number in 0..<2 { _ = try training.run(number) }
        let moments = try training.step.wholeMoments()
        try training.step.settle()
        guard communicator.isCoordinator else { return "" }
        return path + "/"
          + (try CheckpointFolder(path: path).save(
            training.step, moments, training.state(training.step.optimizer.steps)))
      }[0]
    }
    func files(_ path: String) throws -> [Data] {
      try ["model", "optimizer"].map { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\($0).safetensors")) }
    }
    let plain = try train(1, sharded: false, from: nil, to: "plain")
    let sharded = try train(1, sharded: true, from: nil, to: "solo")
    #expect(try files(sharded) == files(plain))
    let further = try train(2, sharded: false, from: plain, to: "further")
    let shared = try train(2, sharded: true, from: plain, to: "shared")
    #expect(try files(shared) == files(further) && files(shared) != files(plain))
    let next = try train(2, sharded: false, from: further, to: "next")
    #expect(try files(train(2, sharded: true, from: shared, to: "two")) == files(next))
  }

  @Test(arguments: [
    ("optimizer.clipNorm=1", "optimizer.clipNorm is 1.0; it must be 0 with optimizer.sharded"),
    ("model.filters=aligned", "model.filters is aligned; it must be plain with optimizer.sharded"),
    (
      "model.heads=[{classifier: cosine, losses: [margin]}]",
      "model.heads[0].classifier is cosine; it must be linear with optimizer.sharded"
    ),
  ]) func whatAsksForWholeGradientsIsRefused(_ setting: String, _ words: String) {
    #expect(message(.usage) { _ = try Configuration.resolve(settings: ["optimizer.sharded=true", setting]) } == words)
  }
}
