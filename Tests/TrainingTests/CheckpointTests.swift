import Collectives
import Foundation
import Tensors
import TestSupport
import Testing
import Training

@Suite struct CheckpointTests {
  private func saved(_ folder: TemporaryFolder) throws -> Set<String> {
    Set(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/checkpoints"))
  }

  private func roundTrip<E: Element>(_: E.Type, _ settings: [String] = []) throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let first = try TinyTraining(E.self, settings, SoloCommunicator())
    for number in 0..<3 { #expect(try first.run(number).skippedFor == nil) }
    let name = try checkpoints.save(first.step, first.step.wholeMoments(), first.state(3)),
      path = "\(checkpoints.path)/\(name)"
    #expect(path == folder.path + "/checkpoints/step-00000003")

    let second = try TinyTraining(E.self, seed: 2, settings, SoloCommunicator())
    #expect(second.everything != first.everything)
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(checkpoint.folder == path && checkpoint.state == first.state(3))
    try checkpoint.restore(into: second.step)
    #expect(second.everything == first.everything)
    #expect(second.step.optimizer.steps == 3 && second.step.lossScale == first.step.lossScale)
    #expect(second.step.tangentScale == first.step.tangentScale)
    _ = try first.run(3)
    _ = try second.run(3)
    #expect(second.everything == first.everything && second.step.optimizer.steps == 4)

    let (network, parameters) = try checkpoint.network(E.self)
    #expect(network.architecture == first.step.network.architecture)
    #expect(Array(parameters.values.span) != Array(first.step.parameters.values.span))
  }

  @Test func restoresEverythingToTheLastBit() throws {
    try roundTrip(Float16.self)
    try roundTrip(Float.self)
    try roundTrip(Double.self)
  }

  @Test func theRegularizersAreRestoredToo() throws {
    let both = ["msgr.lambda=0.05", "adaptiveL2.enabled=true", "lossScale.initial=1"]
    try roundTrip(Float16.self, both)
    try roundTrip(Float.self, both)
    try roundTrip(Float16.self, ["adaptiveL2.enabled=true", "adaptiveL2.trained=false"])
  }

  @Test(arguments: [
    ["optimizer.kind=sgd"], ["optimizer.kind={sgd: {momentum: 0}}"],
    ["optimizer.kind=amsgrad", "adaptiveL2.enabled=true"],
    ["average.decay=0.9", "optimizer.clipNorm=0.5"],
  ])
  func anyOptimizerAndTheAverageAreRestored(_ settings: [String]) throws {
    try roundTrip(Float16.self, settings)
    try roundTrip(Double.self, settings)
  }

  @Test func theAverageIsWhatACheckpointRetrievesBy() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self, "average.decay=0.5")
    for number in 0..<3 { _ = try training.run(number) }
    let path =
      "\(checkpoints.path)/\(try checkpoints.save(training.step, training.step.wholeMoments(), training.state(3)))"
    let (_, parameters) = try Checkpoint(path: folder.path).network(Float.self),
      average = try #require(training.step.average)
    // Without the padding between tensors.
    for slot in training.step.network.layout.slots {
      #expect(Array(parameters.values.span[slot.range]) == Array(average.parameters.values.span[slot.range]))
    }
    #expect(Array(parameters.values.span) != Array(training.step.parameters.values.span))
    try FileManager.default.removeItem(atPath: path + "/average.safetensors")
    #expect(message(.data) { _ = try Checkpoint(path: folder.path) } == "\(path)/average.safetensors: missing")
  }

  /// Also where the tensors that it would look for are there: Adam's mean gradient is no momentum.
  @Test(arguments: [("sgd", "adam"), ("adam", "sgd"), ("amsgrad", "adam")])
  func anotherOptimizerIsNamed(was: String, now: String) throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self, "optimizer.kind=\(was)")
    _ = try training.run(0)
    let path =
      "\(checkpoints.path)/\(try checkpoints.save(training.step, training.step.wholeMoments(), training.state(1)))"
    let other = try TinyTraining(Float.self, "optimizer.kind=\(now)")
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(
      message(.data) { try checkpoint.restore(into: other.step) }
        == "\(path)/optimizer.safetensors: its moments are of optimizer.kind \(was); go on with that one")
  }

  @Test func theLastAndTheBestAreKept() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self)
    #expect(checkpoints.latest == nil && checkpoints.best == nil && checkpoints.proven == nil)
    for (step, mAP) in [(5, 0.3), (10, 0.6), (15, 0.6), (20, 0.6)] {
      let best = Checkpoint.State.Best(mAP: mAP, step: min(step, 10))
      let name = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(step, best: best))
      if best.step == step { try checkpoints.markBest(name) }
      try checkpoints.prune(keep: 1)
      #expect(checkpoints.latest == "step-000000\(step < 10 ? "0" : "")\(step)")
    }
    #expect(checkpoints.best == "step-00000010")
    #expect(try saved(folder) == ["latest", "best", "step-00000010", "step-00000020"])
    // Again at the same step: in place of the one before.
    _ = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(20))
    try checkpoints.prune(keep: 3)
    #expect(try saved(folder) == ["latest", "best", "step-00000010", "step-00000020"])
    #expect(try Checkpoint(path: folder.path + "/checkpoints").state.best == nil)
  }

  @Test func theProvenOneIsKept() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self)
    for step in 1...4 {
      _ = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(step))
      if step == 2 { try checkpoints.markProven("step-00000002") }
      try checkpoints.prune(keep: 1)
    }
    #expect(try saved(folder) == ["latest", "proven", "step-00000002", "step-00000004"])
    #expect(checkpoints.proven == "step-00000002" && checkpoints.latest == "step-00000004")
    // What stands in a pointer's place is replaced, unless it is a folder.
    try FileManager.default.removeItem(atPath: checkpoints.path + "/proven")
    #expect(mkfifo(checkpoints.path + "/proven", 0o600) == 0)
    #expect(checkpoints.proven == nil)
    try checkpoints.markProven("step-00000004")
    #expect(checkpoints.proven == "step-00000004")
  }

  @Test func whatACrashLeftIsClearedAway() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self)
    _ = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(1))
    try FileManager.default.createDirectory(
      atPath: checkpoints.path + "/.step-00000002.partial-1-a", withIntermediateDirectories: true)
    // A pointer that was not moved yet, or whose checkpoint is gone.
    try "step-00000009\n".write(toFile: checkpoints.path + "/best", atomically: false, encoding: .utf8)
    #expect(checkpoints.best == nil && checkpoints.latest == "step-00000001")
    _ = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(2))
    #expect(try saved(folder) == ["latest", "best", "step-00000001", "step-00000002"])
  }

  @Test func whatIsNoCheckpointIsNamed() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let missing = folder.path + "/none"
    #expect(message(.data) { _ = try Checkpoint(path: missing) } == "\(missing): no such checkpoint")
    let empty = message(.data) { _ = try Checkpoint(path: folder.path) }
    #expect(empty?.hasPrefix("\(folder.path): no checkpoint in it") == true)
    let training = try TinyTraining(Float.self)
    let path =
      "\(checkpoints.path)/\(try checkpoints.save(training.step, training.step.wholeMoments(), training.state(1)))"
    // The name of a pointer means what it points to.
    #expect(try Checkpoint(path: "\(checkpoints.path)/latest").folder == path)
    try FileManager.default.removeItem(atPath: path + "/optimizer.safetensors")
    #expect(message(.data) { _ = try Checkpoint(path: folder.path) } == "\(path)/optimizer.safetensors: missing")
  }

  @Test func theIdentitiesMustBeThoseOfTheClassifier() throws {
    let folder = try TemporaryFolder(), checkpoints = CheckpointFolder(path: folder.path + "/checkpoints")
    let training = try TinyTraining(Float.self)
    _ = try checkpoints.save(training.step, training.step.wholeMoments(), training.state(1))
    let checkpoint = try Checkpoint(path: folder.path)
    #expect(throws: Never.self) { try checkpoint.requireIdentities([15: 2, 4: 0, 8: 1]) }
    let other = message(.data) { try checkpoint.requireIdentities([15: 2, 4: 0, 9: 1]) }
    #expect(other?.hasPrefix("\(checkpoint.folder): trained on 3 identities") == true)
  }
}
