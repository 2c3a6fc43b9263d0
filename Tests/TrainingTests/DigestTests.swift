import Collectives
import Dataset
import Foundation
import Kernels
import Layers
import Losses
import Network
import Storage
import Tensors
import Testing

import Training

/// What five steps leave behind, to the last bit, as it was before the network could be put together freely: a change of
/// structure that moves a bit of it has changed what is computed.
@Suite struct DigestTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String, settings: [String]
    /// SHA-256 of parameters, statistics, moments and strengths, its first 16 digits, with float16 and, where there is one more,
    /// float32 storage.
    let digests: [String]

    var testDescription: String { name }

    init(_ name: String, _ settings: [String]) { (self.name, self.settings, digests) = (name, settings, []) }

    init(_ name: String, _ settings: String..., digests: [String]) {
      (self.name, self.settings, self.digests) = (name, settings, digests)
    }
  }

  static let cases = [
    Case("MSFL", digests: ["e248f6ea0aa77ae1", "5bf050ec3a9580f3"]),
    Case(
      "quickstart", "losses.triplet.weight=0.1", "model.width=0.25", digests: ["de1d72db6d267825", "b102da5d009d33d5"]),
    Case("own weights", "model.sharedPyramid=false", digests: ["73a9acbe748c1257", "4a58c3e8a66c8684"]),
    Case("baseline", "model.head=baseline", digests: ["ad3eda7908707e5e", "9099561097576b50"]),
    Case(
      "last stride 1", "model.head=baseline", "model.lastStride=1", digests: ["2f201a74da1a67b8", "be3bc352cd44b886"]),
    Case(
      "direct", "model.lateral=false", "model.topDown=false", "model.fusion=false",
      digests: ["aea975023bfccc19", "a40f8bd0c4995eb9"]),
    Case(
      "top-down alone", "model.lateral=false", "model.fusion=false", digests: ["2c8f50b4e87f4f66", "5a99a51e1b740fce"]),
    Case(
      "lateral alone, three stages", "model.topDown=false", "model.stages=[1,3,4]",
      digests: ["d6e66d01615843e7", "e61e7718044914c6"]),
    Case("MSGR, norm 2", "msgr.lambda=0.01", digests: ["43edd22c7bb30a0a", "5ffd82e3aa9f96b5"]),
    Case(
      "MSGR, norm 1", "msgr.lambda=0.01", "msgr.norm=1", "msgr.at=[input,3]",
      digests: ["635f13ee321b90c6", "ae391dd0b0a9bcbf"]),
    Case(
      "MSGR, norm inf", "msgr.lambda=0.01", "msgr.norm=inf", "msgr.at=[2,4]",
      digests: ["82eac5a21d804449", "af136848c2d11c14"]),
    Case(
      "adaptive L2", "adaptiveL2.enabled=true", "adaptiveL2.amplitude=0.01",
      digests: ["ada8271a35f3e2a0", "6ea89db8b482a8a5"]),
    Case(
      "MSGR, adaptive L2", "msgr.lambda=0.1", "adaptiveL2.enabled=true", "model.head=baseline",
      digests: ["b16f245f834bdbc4", "401c3318d3a3ca86"]),
    Case("Winograd, MSGR", "precision.convolution=winograd", "msgr.lambda=0.01", digests: ["3a6897027b996c7d"]),
    Case("int32", "communication.wire=int32", digests: ["726bff435371e65b", "0b5a51d51b7921b4"]),
  ]

  /// Five steps on twelve images of noise, of which each rank has its share. With a sharded optimizer rank 0 alone has all moments.
  static func digest<E: Element>(
    _: E.Type, _ one: Case, _ path: KernelPath, _ counts: [Int], steps: Int = 5
  ) throws -> [String] {
    let size = 64 * 32 * 3
    return try ThreadCommunicator.run(counts.count) { communicator in
      let configuration = try Configuration.resolve(
        settings: [
          "model.width=0.125", "model.embedding=16", "input.height=64", "input.width=32",
          "precision.storage=\(E.precision.rawValue)", "lossScale.initial=1", "communication.bucketMegabytes=1",
          "precision.convolution=direct",
        ] + one.settings)
      let context = Context<E>(
        workers: Workers(count: 1), communicator: communicator, arena: Arena(),
        kernels: Kernels(path: path, convolution: configuration.precision.convolution))
      let network = ReIDNetwork<E>(Architecture(configuration.model, identities: 3))
      let step = try TrainingStep(
        network, network.initialized(seed: 1, context.workers), configuration, context)
      let first = counts[..<communicator.rank].reduce(0, +), images = first..<first + counts[communicator.rank]
      let samples = images.map { Sample(path: "", identity: $0 / 4, camera: 0) }
      for number in 0..<steps {
        var random = CounterRandom(seed: 5, epoch: 0, position: number, purpose: .synthesis)
        let pixels = (0..<12 * size).map { _ in UInt8(random.integer(below: 256)) }
        let batch = ImageBatch(
          pixels: Array(pixels[images.lowerBound * size..<images.upperBound * size]), height: 64, width: 32,
          samples: samples, rows: Array(images), damaged: [])
        let result = try step.run(batch, labels: RowLabels(identities: samples.map(\.identity)), learningRate: 1e-3)
        #expect(result.skippedFor == nil, "step \(number)")
      }
      try step.settle()
      let strengths = step.penalty.map { [$0.adaptive.values] + $0.optimizer.moments.map(\.values) } ?? []
      let moments = try step.wholeMoments().map(\.values)
      let all = [step.parameters.values, step.parameters.statistics] + moments + strengths
      let bytes = all.flatMap { values in values.array.withUnsafeBytes { Array($0) } }
      return String(try bytes.withUnsafeBytes { try SHA256.digest(of: $0) }.prefix(16))
    }
  }

  @Test(arguments: cases) func fiveStepsKeepTheirBits(_ one: Case) throws {
    let paths = [KernelPath.avx512, .avx2].filter { KernelPath.available.contains($0) }
    func check<E: Element>(_: E.Type, _ expected: String) throws {
      for path in paths {
        for counts in path == paths.last ? [[12], [8, 4], [4, 4, 4]] : [[12]] {
          let found = try Self.digest(E.self, one, path, counts)
          #expect(found.allSatisfy { $0 == expected }, "\(one.name), \(E.self) on \(path), \(counts): \(found)")
        }
      }
    }
    try check(Float16.self, one.digests[0])
    if one.digests.count > 1 { try check(Float.self, one.digests[1]) }
  }
}
