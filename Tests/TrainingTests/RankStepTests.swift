import Collectives
import Dataset
import Losses
import Tensors
import Testing
import Training

/// Whole steps of several ranks whose gradients cross in several buckets.
@Suite struct RankStepTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let settings: [String]
    var testDescription: String { settings.isEmpty ? "plain" : settings.joined(separator: " ") }

    init(_ settings: String...) { self.settings = settings }
  }

  /// What a rank has after its steps.
  private struct Outcome<A: Element>: Sendable {
    var losses: [Double] = []
    var gradients: [Double] = []
    var everything: [[A]] = []
    var buckets = 0
  }

  /// Wide enough that a megabyte does not hold the gradients.
  private static let network = [
    "model.width=0.125", "communication.bucketMegabytes=1", "lossScale.initial=1",
  ]

  /// `steps` steps on six images each (`repeated`: always the same), of which each rank has its share.
  private func train<E: Element>(
    _: E.Type, _ settings: [String], _ counts: [Int], steps: Int, learningRate: Double = 1e-3,
    repeated: Bool = false
  ) throws -> [Outcome<E.Accumulator>] {
    try ThreadCommunicator.run(counts.count) { communicator in
      let spy = SpyCommunicator(communicator)
      let training = try TinyTraining(E.self, Self.network + settings, spy)
      let first = counts[..<communicator.rank].reduce(0, +)
      let images = first..<first + counts[communicator.rank]
      let size = 64 * 32 * 3
      let samples = images.map { Sample(path: "", identity: $0 / 2, camera: 0) }
      var outcome = Outcome<E.Accumulator>()
      for number in 0..<steps {
        let pixels = Array(
          training.pixels(repeated ? 0 : number)[images.lowerBound * size..<images.upperBound * size])
        let batch = ImageBatch(
          pixels: pixels, height: 64, width: 32, samples: samples, rows: Array(images), damaged: [])
        let result = try training.step.run(
          batch, labels: RowLabels(identities: samples.map(\.identity)), learningRate: learningRate)
        #expect(result.skippedFor == nil)
        outcome.losses.append(result.loss.total)
        if number == 0 { outcome.gradients = training.step.gradients.values.array }
      }
      outcome.everything = training.everything
      outcome.buckets = spy.calls.sums.count / steps
      return outcome
    }
  }

  @Test(arguments: [
    Case(), Case("msgr.lambda=0.05"),
    Case("model.sharedPyramid=false", "msgr.lambda=0.05", "msgr.at=[input,3]"),
    Case("precision.convolution=winograd"), Case("precision.convolution=winograd", "msgr.lambda=0.05"),
    Case("model.head=baseline"), Case("optimizer.kind=sgd", "optimizer.clipNorm=0.5", "average.decay=0.9"),
    Case("optimizer.kind=amsgrad", "optimizer.clipNorm=0.5"),
  ])
  func anyNumberOfRanksTakesTheSameCourse(_ one: Case) throws {
    func check<E: Element>(_: E.Type, _ shares: [[Int]]) throws {
      let alone = try train(E.self, one.settings, [6], steps: 2)[0]
      #expect(alone.buckets == 0)
      for counts in shares {
        for outcome in try train(E.self, one.settings, counts, steps: 2) {
          #expect(outcome.buckets >= 3, "\(outcome.buckets) buckets")
          #expect(
            outcome.losses == alone.losses && outcome.gradients == alone.gradients,
            "\(E.self) \(counts)")
          #expect(outcome.everything == alone.everything, "\(E.self) \(counts)")
        }
      }
    }
    try check(Float16.self, one.settings.count < 2 ? [[4, 2], [4, 0, 2]] : [[4, 0, 2]])
    if one.settings.isEmpty { try check(Float.self, [[0, 4, 2]]) }
  }

  /// In float64 storage sums are ordinary, and agree within rounding.
  @Test func float64AgreesWithinRounding() throws {
    let alone = try train(Double.self, [], [6], steps: 1)[0]
    for counts in [[1, 3, 2]] {
      for outcome in try train(Double.self, [], counts, steps: 1) {
        #expect(relativeError(outcome.gradients, alone.gradients) < 1e-10)
      }
    }
  }

  /// The narrower wires round the gradient as much as they must, train to about the same loss, and keep ranks together.
  @Test(arguments: [
    (Case("communication.wire=float32"), [4, 2], 1e-8...1e-6, 1e-4, 5),
    (Case("communication.wire=float16"), [4, 0, 2], 1e-5...2e-3, 0.1, 2),
    (Case("communication.wire=float16", "msgr.lambda=1e-4"), [4, 2], 1e-5...2e-3, 0.2, 2),
  ])
  func narrowWiresTrain(
    _ one: Case, _ counts: [Int], _ rounding: ClosedRange<Double>, _ tolerance: Double, _ alike: Int
  ) throws {
    func train(_ settings: [String], _ counts: [Int]) throws -> [Outcome<Float>] {
      try self.train(Float16.self, settings, counts, steps: 5, learningRate: 3e-5, repeated: true)
    }
    let exact = try train(one.settings.filter { !$0.contains("wire") }, [6])[0]
    #expect(exact.losses.last! < 0.8 * exact.losses[0], "\(exact.losses)")
    let ranks = try train(one.settings, counts)
    for outcome in ranks {
      #expect(outcome.everything == ranks[0].everything && outcome.losses == ranks[0].losses, "the same on all ranks")
      #expect(outcome.losses[0] == exact.losses[0], "the wire has no part in the loss")
      let error = relativeError(outcome.gradients, exact.gradients)
      #expect(rounding.contains(error), "\(error)")
      // In later steps a fresh network has magnified what was rounded, and only goes down as well.
      for (mine, theirs) in zip(outcome.losses, exact.losses).prefix(alike) {
        #expect(abs(mine - theirs) < tolerance * exact.losses[0], "\(outcome.losses), \(exact.losses)")
      }
      #expect(outcome.losses.last! < 0.8 * exact.losses[0], "\(outcome.losses), \(exact.losses)")
    }
  }

  /// An overflow on one rank skips the step on all.
  @Test(arguments: ["float64", "float32", "float16"]) func overflowSkipsTheStepOnAllRanks(
    _ wire: String
  ) throws {
    let skipped = try ThreadCommunicator.run(2) { communicator in
      let training = try TinyTraining(
        Float16.self, Self.network + ["communication.wire=\(wire)", "lossScale.initial=\(0x1p24)"],
        communicator)
      let before = training.everything
      let images = communicator.rank == 0 ? 0..<4 : 4..<6
      let size = 64 * 32 * 3
      let samples = images.map { Sample(path: "", identity: $0 / 2, camera: 0) }
      let batch = ImageBatch(
        pixels: Array(training.pixels(0)[images.lowerBound * size..<images.upperBound * size]),
        height: 64, width: 32,
        samples: samples, rows: Array(images), damaged: [])
      let result = try training.step.run(
        batch, labels: RowLabels(identities: samples.map(\.identity)), learningRate: 1e-3)
      #expect(training.everything == before && training.step.lossScale.scale == 0x1p23)
      return result.skippedFor
    }
    #expect(skipped[0] != nil && skipped[0] == skipped[1])
  }
}

/// ‖a − b‖ / ‖b‖, or infinite where the counts differ.
private func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  var difference = 0.0
  var norm = 0.0
  for (x, y) in zip(a, b) {
    difference += (x - y) * (x - y)
    norm += y * y
  }
  return difference == 0 ? 0 : (difference / norm).squareRoot()
}
