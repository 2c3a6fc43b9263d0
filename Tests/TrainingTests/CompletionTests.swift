import Collectives
import Layers
import Tensors
import Testing
import Training

/// `ParameterGradients.complete(from:)` says the truth: what a backward pass has told to be complete, it leaves alone.
@Suite struct CompletionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let settings: [String]
    var testDescription: String { settings.isEmpty ? "msfl" : settings.joined(separator: " ") }

    init(_ settings: String...) { self.settings = settings }
  }

  static let cases = [
    Case(), Case("model.sharedPyramid=false"), Case("model.head=baseline"),
    Case("model.lateral=false", "model.topDown=false", "model.fusion=false"),
    Case("model.lateral=false"),
    Case("model.topDown=false"), Case("model.fusion=false"), Case("model.stages=[2,4]"),
    Case("model.stages=[4]"),
    Case("model.lastStride=1"), Case("model.maxPool=ceil"),
    Case("msgr.lambda=0.05"), Case("msgr.lambda=0.05", "msgr.at=[input]"),
    Case("msgr.lambda=0.05", "msgr.at=[4,1]"),
    Case("msgr.lambda=0.05", "model.sharedPyramid=false"),
    Case("msgr.lambda=0.05", "model.head=baseline", "msgr.at=[3]"),
    Case("msgr.lambda=0.05", "model.lateral=false", "model.topDown=false", "model.fusion=false"),
  ]

  /// What stood at the told index and beyond when it was told.
  private struct Call {
    let index: Int, values: [Double]
  }

  private func calls<E: Element>(_ training: TinyTraining<E>) throws -> [Call] {
    var calls: [Call] = []
    let gradients = training.step.gradients
    gradients.onCompletion = {
      calls.append(Call(index: $0, values: Array(gradients.values.span[$0...])))
    }
    _ = try training.differentiate()
    gradients.onCompletion = nil
    return calls
  }

  private func check<E: Element>(_: E.Type, _ one: Case) throws {
    let training = try TinyTraining(
      E.self, ["lossScale.initial=1"] + one.settings, SoloCommunicator())
    let layout = training.step.network.layout
    // A fresh network has shifts and biases of zero, under which some gradients vanish.
    var random = CounterRandom(seed: 5, purpose: .probing)
    for slot in layout.slots where slot.kind != .convolution && slot.kind != .linear {
      for i in slot.range {
        training.step.parameters.values[i] += E.Accumulator(Float(0.1 * random.normal()))
      }
    }
    let calls = try calls(training)
    let final = training.step.gradients.values.array
    #expect(final.contains { $0 != 0 } && final.allSatisfy(\.isFinite))

    // Downwards, all of it.
    let indices = calls.map(\.index)
    #expect(zip(indices, indices.dropFirst()).allSatisfy { $0 >= $1 }, "\(indices)")
    #expect(indices.first! < layout.count && indices.count >= 17)
    #expect(indices.last! == 0)
    let pyramid = layout.slots.first {
      $0.name.hasPrefix("pyramid.") || $0.name.hasPrefix("neck.")
    }!
    #expect(
      indices.filter { $0 < pyramid.range.lowerBound }.count >= 15,
      "block by block below the pyramid")
    #expect(indices.contains(pyramid.range.lowerBound), "the head at once")

    for call in calls {
      guard
        let changed = call.values.indices.first(where: { call.values[$0] != final[call.index + $0] }
        )
      else { continue }
      let slot = layout.slots.last { $0.range.lowerBound <= call.index + changed }!
      Issue.record("told complete from \(call.index), but \(slot.name) still changed")
    }
    // The copies mean something: what a call has not told yet is changed by what follows.
    for (call, next) in zip(calls, calls.dropFirst()) where next.index < call.index {
      #expect(
        final[next.index..<call.index].contains { $0 != 0 },
        "nothing between \(next.index) and \(call.index)")
    }
  }

  @Test(arguments: cases) func whatIsToldStays(_ one: Case) throws {
    try check(Float16.self, one)
    if one.settings.count < 2 { try check(Double.self, one) }
  }

  /// Only the pass that adds up gradients tells: the recording one before it has none.
  @Test func theRecordingPassTellsNothing() throws {
    let plain = try calls(TinyTraining(Float16.self))
    let regularized = try calls(TinyTraining(Float16.self, "msgr.lambda=0.05"))
    #expect(plain.map(\.index) == regularized.map(\.index))
  }
}
