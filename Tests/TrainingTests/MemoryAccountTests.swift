import Tensors
import Testing
import Training

@Suite struct MemoryAccountTests {
  private func account<E: Element>(_: E.Type, images: Int, _ training: TinyTraining<E>) throws -> MemoryAccount {
    try Rehearsal.step(
      E.self, images: images, identities: TinyTraining<E>.identities, training.configuration, training.machine
    ).memory
  }

  /// The rehearsal computes nothing, and must come to what a step takes.
  private func compare<E: Element>(_: E.Type) throws -> MemoryAccount {
    let training = try TinyTraining(E.self), account = try account(E.self, images: 6, training)
    _ = try training.run(0)
    #expect(account.activations == training.context.arena.peakBytes)
    let size = training.configuration.input, batch = training.configuration.evaluation.batch
    training.step.network.pack(training.step.parameters, training: false, training.context)
    _ = try training.step.network.embed(
      training.context.tensor(Shape(batch, size.height, size.width, 3)), training.step.parameters, training.context)
    #expect(account.activations + account.evaluation == training.context.arena.peakBytes)
    #expect(account.scratch == training.machine.workers.scratchBytes)
    let parameters = training.step.parameters
    #expect(
      account.parameters == 3 * parameters.values.bytes + 8 * parameters.values.count + parameters.statistics.bytes
        + training.step.network.keptBytes)
    #expect(
      account.total == account.parameters + account.activations + account.evaluation + account.scratch)
    return account
  }

  @Test func theRehearsalTakesWhatAStepTakes() throws {
    let half = try compare(Float16.self), single = try compare(Float.self), double = try compare(Double.self)
    #expect(half.parameters == single.parameters && double.parameters > single.parameters)
    // Nearly all of it is activations of the stored element.
    #expect(Double(single.activations) > 1.7 * Double(half.activations))
    #expect(Double(double.activations) > 1.7 * Double(single.activations))
  }

  /// Of a sharded optimizer a rank keeps a part of the moments.
  @Test func momentsAreOfARanksPart() throws {
    let training = try TinyTraining(Float.self, "optimizer.sharded=true")
    let accounts = try [1, 4].map { ranks in
      try Rehearsal.step(
        Float.self, images: 6, ranks: ranks, identities: 3, training.configuration, training.machine
      ).memory.parameters
    }
    let moments = 2 * training.step.parameters.values.bytes
    #expect(abs(accounts[0] - accounts[1] - moments * 3 / 4) < 16)
  }

  @Test func activationsGrowWithTheImagesAndNothingElseDoes() throws {
    let training = try TinyTraining(Float16.self)
    let one = try account(Float16.self, images: 16, training), two = try account(Float16.self, images: 32, training)
    let growth = Double(two.activations) / Double(one.activations)
    #expect(growth > 1.9 && growth < 2.1)
    #expect(one.parameters == two.parameters)
  }

  /// Attention over 128 channels makes matrices of 128×128 in float64 of each image; with tangents twice as many.
  @Test(arguments: [(0, 4), (0.01, 8)]) func whatLoopsAllocateCounts(_ lambda: Double, matrices: Int) throws {
    func scratch(_ attention: String) throws -> Int {
      try account(
        Float.self, images: 6,
        TinyTraining(Float.self, "model.head=baseline", "msgr.lambda=\(lambda)", "model.attention=\(attention)")
      ).scratch
    }
    #expect(try scratch("scan") - scratch("none") == matrices * 8 * 128 * 128)
  }

  @Test func theSummaryIsInUnitsThatPeopleRead() {
    let account = MemoryAccount(
      parameters: 3 << 20, activations: 5 << 30, evaluation: 2 << 20, scratch: 1 << 20)
    #expect(
      account.summary
        == "5.0 GiB a rank: parameters and moments 3 MiB, activations 5.0 GiB, evaluation 2 MiB more, scratch 1 MiB"
    )
  }
}
