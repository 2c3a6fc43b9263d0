import Collectives
import Foundation
import Kernels
import Layers
import Tensors
import Testing
import Training

/// The core of `lineup sensitivity` on functions whose sensitivity is known.
@Suite struct OutputSensitivityTests {
  private static let shape = Shape(1, 4, 3, 3), inputs = 36, outputs = 5
  private static let sigma = 0.1

  /// outputs × inputs.
  private static let matrix: [Double] = {
    var random = CounterRandom(seed: 11, purpose: .synthesis)
    return (0..<outputs * inputs).map { _ in random.normal() }
  }()

  private static var meanRow: [Double] {
    (0..<inputs).map { i in (0..<outputs).reduce(0) { $0 + matrix[$1 * inputs + i] } / Double(outputs) }
  }

  /// Mx + 1, or its exponential, image for image.
  private static func measure(
    _ count: Int, seeds: Int, batch: Int = 7, isLinear: Bool = true, classes: [Int]? = nil,
    _ communicator: any Communicator = SoloCommunicator()
  ) throws -> OutputSensitivity {
    let context = Context<Double>(
      workers: Workers(count: 2), communicator: communicator, arena: Arena(), kernels: Kernels(path: .blas))
    let probe = OutputSensitivityProbe(sigma: sigma, seeds: seeds, seed: 5, batch: batch, context)
    return try probe.measure(count, classes: classes) { range in
      let x = context.tensor(Shape(range.count, shape.height, shape.width, shape.channels))
      x.fill(
        range.flatMap { image in
          var random = CounterRandom(seed: 2, position: image, purpose: .synthesis)
          return (0..<inputs).map { _ in random.normal() }
        })
      return x
    } _: { x in
      let y = context.tensor(Shape(x.shape.images, 1, 1, outputs))
      for image in 0..<x.shape.images {
        for o in 0..<outputs {
          let z = (0..<inputs).reduce(1) { $0 + matrix[o * inputs + $1] * x.pointer[image * inputs + $1] }
          y.pointer[image * outputs + o] = isLinear ? z : exp(z / 10)
        }
      }
      return y
    }
  }

  /// S = σ²‖mean row‖²: of the noise that was drawn to the last digits, and of all noise as far as a sample tells.
  @Test func aLinearFunctionHasTheNormOfItsMeanRow() throws {
    let count = 400, seeds = 4, result = try Self.measure(count, seeds: seeds)
    for seed in 0..<seeds {
      let changes = (0..<count).map { image in
        var random = CounterRandom(seed: 5, epoch: seed, position: image, purpose: .probing)
        return Self.meanRow.reduce(0) { $0 + $1 * Self.sigma * random.normal() }
      }
      let mean = changes.reduce(0, +) / Double(count)
      let variance = changes.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)
      #expect(abs(result.values[seed] - variance) < 1e-12 * variance)
    }
    let exact = Self.sigma * Self.sigma * Self.meanRow.reduce(0) { $0 + $1 * $1 }
    // The deviation of such a variance is √(2/(n·seeds)) of it, 3.5 %.
    #expect(abs(result.mean - exact) < 0.14 * exact && result.images == count && result.outputs == Self.outputs)
    #expect(result.deviation > 0 && result.deviation < 0.2 * exact && result.loss == nil)
    #expect(Set(result.values).count == seeds)
  }

  @Test(arguments: [true, false]) func ranksAndBatchesChangeNoBit(isLinear: Bool) throws {
    let classes = (0..<23).map { $0 % Self.outputs }
    let one = try Self.measure(23, seeds: 3, isLinear: isLinear, classes: classes)
    #expect(one.values.allSatisfy { $0 > 0 } && one.loss! > 0)
    #expect(try Self.measure(23, seeds: 3, batch: 23, isLinear: isLinear, classes: classes) == one)
    for ranks in 1...3 {
      let all = try ThreadCommunicator.run(ranks) {
        try Self.measure(23, seeds: 3, batch: 4, isLinear: isLinear, classes: classes, $0)
      }
      #expect(all == Array(repeating: one, count: ranks))
    }
    // More ranks than images.
    let few = try Self.measure(2, seeds: 1)
    #expect(try ThreadCommunicator.run(3) { try Self.measure(2, seeds: 1, $0) } == [few, few, few])
  }

  /// −ln of the share of the right class.
  @Test func crossEntropyIsThatOfTheCleanOutputs() throws {
    let classes = [4, 0, 2], result = try Self.measure(3, seeds: 1, classes: classes)
    var expected = 0.0
    for (image, label) in classes.enumerated() {
      var random = CounterRandom(seed: 2, position: image, purpose: .synthesis)
      let x = (0..<Self.inputs).map { _ in random.normal() }
      let z = (0..<Self.outputs).map { o in
        (0..<Self.inputs).reduce(1) { $0 + Self.matrix[o * Self.inputs + $1] * x[$1] }
      }
      expected -= log(exp(z[label]) / z.reduce(0) { $0 + exp($1) }) / 3
    }
    #expect(abs(result.loss! - expected) < 1e-12)
  }

  @Test func whatHasNoVarianceIsRefused() throws {
    #expect(throws: Failure.self) { try Self.measure(1, seeds: 1) }
    #expect(throws: Failure.self) { try Self.measure(0, seeds: 1) }
    #expect(throws: AgreedFailure.self) {
      let context = Context<Float>(
        workers: Workers(count: 1), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
      let probe = OutputSensitivityProbe(sigma: 0.1, seeds: 1, seed: 1, batch: 2, context)
      _ = try probe.measure(2) { range in
        let x = context.tensor(Shape(range.count, 1, 1, 3))
        x.zero()
        return x
      } _: { x in
        let y = context.tensor(Shape(x.shape.images, 1, 1, 1))
        y.fill((0..<x.shape.images).map { _ in .nan })
        return y
      }
    }
  }
}
