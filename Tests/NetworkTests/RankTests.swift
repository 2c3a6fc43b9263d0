import Collectives
import Kernels
import Network
import Tensors
import Testing

/// A whole step over several ranks is the step of one.
@Suite struct RankTests {
  private func sharded<E: Element>(_ trial: Trial, _: E.Type, _ counts: [Int]) throws -> [Trial.Result] {
    try ThreadCommunicator.run(counts.count) { communicator in
      let first = counts[..<communicator.rank].reduce(0, +)
      return try trial.step(E.self, images: first..<first + counts[communicator.rank], communicator)
    }
  }

  private func sum(_ gradients: [[Double]]) -> [Double] {
    gradients.dropFirst().reduce(gradients[0]) { total, next in zip(total, next).map { $0 + $1 } }
  }

  @Test(arguments: [[3, 1, 4], [5, 0, 3]]) func float64(_ counts: [Int]) throws {
    let trial = Trial(architecture: Trial.small())
    let one = try trial.step(Double.self)
    let many = try sharded(trial, Double.self, counts)
    #expect(many.allSatisfy { abs($0.loss - one.loss) < 1e-12 })
    #expect(relativeError(many.flatMap(\.embedding), one.embedding) < 1e-11)
    #expect(relativeError(sum(many.map(\.gradient)), one.gradient) < 1e-10)
    #expect(many.allSatisfy { relativeError($0.statistics, one.statistics) < 1e-12 })
  }

  @Test(arguments: KernelPath.available) func float16(_ path: KernelPath) throws {
    var trial = Trial(architecture: Trial.small())
    trial.path = path
    let one = try trial.step(Float16.self)
    for counts in [[3, 1, 4], [5, 0, 3]] {
      let many = try sharded(trial, Float16.self, counts)
      #expect(many.flatMap(\.embedding) == one.embedding, "activations agree to the last bit")
      #expect(relativeError(sum(many.map(\.gradient)), one.gradient) < 1e-4, "\(counts) on \(path)")
      #expect(many.allSatisfy { $0.statistics == many[0].statistics }, "running statistics are the same on every rank")
    }
  }

  @Test(arguments: KernelPath.available) func threadsChangeNoActivation(_ path: KernelPath) throws {
    var trial = Trial(architecture: Trial.small())
    trial.path = path
    let one = try trial.step(Float16.self)
    trial.threads = 3
    let three = try trial.step(Float16.self)
    let again = try trial.step(Float16.self)
    #expect(three.embedding == one.embedding && three.loss == one.loss)
    #expect(relativeError(three.gradient, one.gradient) < 1e-5)
    #expect(again.gradient == three.gradient, "not a matter of timing")
  }
}
