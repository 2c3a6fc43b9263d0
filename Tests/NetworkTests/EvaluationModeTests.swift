import Collectives
import Kernels
import Layers
import Network
import Tensors
import Testing

/// `embed`: running statistics, no collective, each image for itself.
@Suite struct EvaluationModeTests {
  /// Embeddings of some of a trial's images, with running statistics that have seen one step.
  private func embed<E: Element>(_ trial: Trial, _: E.Type, _ ranges: [Range<Int>]) throws -> [[Double]] {
    let network = ReIDNetwork<E>(trial.architecture)
    let context = trial.context(E.self)
    let parameters = trial.parameters(network, context.workers)
    for (i, value) in try trial.step(Double.self, backward: false).statistics.enumerated() {
      parameters.statistics[i] = E.Accumulator(Float(value))
    }
    let before = parameters.statistics.array
    network.pack(parameters, training: false, context)
    let results = try ranges.map { range in
      try network.embed(trial.images(range, context), parameters, context).array.map { Double($0) }
    }
    #expect(parameters.statistics.array == before)
    return results
  }

  @Test(arguments: KernelPath.available) func doesNotDependOnTheBatch(_ path: KernelPath) throws {
    for head in PaperHead.allCases {
      var trial = Trial(architecture: Trial.small { $0.head = head })
      trial.path = path
      let all = try embed(trial, Float16.self, [0..<8, 0..<1, 1..<4, 4..<8, 8..<8])
      #expect(all[0] == all[1] + all[2] + all[3], "\(head) on \(path), to the last bit")
      #expect(all[0].contains { $0 > 0 } && all[0].allSatisfy { $0 >= 0 && $0.isFinite } && all[4].isEmpty)
      #expect(Array(all[0][0..<24]) != Array(all[0][24..<48]), "images differ")
    }
  }

  @Test(arguments: KernelPath.available) func precisionsAgree(_ path: KernelPath) throws {
    var trial = Trial(architecture: Trial.small())
    let exact = try embed(trial, Double.self, [0..<8])[0]
    trial.path = path
    #expect(relativeError(try embed(trial, Float.self, [0..<8])[0], exact) < 1e-5)
    #expect(relativeError(try embed(trial, Float16.self, [0..<8])[0], exact) < 1e-2)
  }

  /// Nothing is kept for later passes, and what finishes a gradient, which holds raw outputs of convolutions, least of all:
  /// 0.25 and 0.31 of what a training pass keeps.
  @Test func nothingIsKept() throws {
    for architecture in [Trial.small(), Trial.small { $0.head = .baseline }] {
      /// Beyond the working weights.
      func peak(
        training: Bool,
        _ body: (ReIDNetwork<Float16>, Context<Float16>, Parameters<Float>, Tensor<Float16>) throws -> Void
      ) throws -> Int {
        let network = ReIDNetwork<Float16>(architecture)
        let context = Context<Float16>(
          workers: Workers(count: 1, rehearsal: true), communicator: SoloCommunicator(), arena: Arena(),
          kernels: Kernels(path: .blas))
        let parameters = Parameters<Float>(layout: network.layout, statistics: network.statistics)
        network.pack(parameters, training: training, context)
        let weights = context.arena.peakBytes
        try body(network, context, parameters, context.tensor(Shape(8, 128, 64, 3)))
        return context.arena.peakBytes - weights
      }
      let evaluation = try peak(training: false) { _ = try $0.embed($3, $2, $1) }
      let training = try peak(training: true) {
        _ = try $0.forward($3, Run($1, $2, .training(seed: 0, step: 0, firstRow: 0)))
      }
      #expect(2 * evaluation < training)
    }
  }

  /// Images of any size at least 32 × 32, odd ones too.
  @Test func otherSizes() throws {
    for (height, width) in [(32, 32), (65, 47), (96, 33)] {
      var trial = Trial(architecture: Trial.small())
      (trial.height, trial.width) = (height, width)
      let result = try trial.step(Float16.self)
      #expect(
        result.gradient.allSatisfy { $0.isFinite } && result.embedding.contains { $0 > 0 }, "\(height) × \(width)")
    }
  }
}
