import Collectives
import Dataset
import Foundation
import Tensors
import TestSupport
import Testing
import Training

@Suite struct StepPlanTests {
  private func samples(_ identities: Int, images: Int = 3, folder: String = "/a") -> [Sample] {
    (0..<identities * images).map {
      Sample(path: "\(folder)/\($0 / images)_\($0 % images).jpg", identity: $0 / images * 7, camera: $0 % 2)
    }
  }

  @Test func wordsReadBack() {
    let next = AnnouncedBatch(epoch: 3, firstPosition: 96, samples: [5, 0, 12])
    for batch in [next, nil] {
      let plan = StepPlan(
        step: 41, epoch: 2, index: 9, learningRate: 3.5e-4 / 3, lossScale: 0x1p-14, digest: .max - 4, next: batch)
      #expect(StepPlan(words: plan.words) == plan)
    }
    #expect(AnnouncedBatch(words: next.words) == next)
  }

  @Test func theDigestIsOfTheBatchAndItsImages() {
    let batch = AnnouncedBatch(epoch: 0, firstPosition: 0, samples: [1, 4, 7])
    var here = samples(4)
    let digest = batch.digest(here)
    for changed in [
      AnnouncedBatch(epoch: 1, firstPosition: 0, samples: [1, 4, 7]),
      AnnouncedBatch(epoch: 0, firstPosition: 8, samples: [1, 4, 7]),
      AnnouncedBatch(epoch: 0, firstPosition: 0, samples: [4, 1, 7]),
    ] { #expect(changed.digest(here) != digest) }
    let renamed = Sample(path: "/a/renamed.jpg", identity: 1, camera: 0)
    here[0] = renamed  // not in the batch
    #expect(batch.digest(here) == digest)
    here[7] = renamed
    #expect(batch.digest(here) != digest)
  }

  private func coordinator(
    _ training: [Sample], _ communicator: any Communicator, _ settings: String...
  ) throws -> Coordinator {
    let all = ["sampling.identities=2", "sampling.images=2", "schedule.epochs=2", "schedule.steps=[1]"] + settings
    return try Coordinator(training, try Configuration.resolve(settings: all), communicator)
  }

  @Test func aRunIsPlannedToItsEndAndFromAnywhereTheSame() throws {
    let training = samples(5)
    func plans(from start: Int) throws -> [StepPlan] {
      let coordinator = try coordinator(training, SoloCommunicator())
      var expected = try coordinator.announce(step: start)
      return try (start..<coordinator.totalSteps).map { step in
        let (plan, batch) = try coordinator.plan(step: step, lossScale: 8)
        #expect(batch == expected && batch.samples.count == 4 && batch.firstPosition == step % 5 * 4)
        #expect(plan.step == step && plan.epoch == step / 5 && plan.index == step % 5)
        #expect(abs(plan.learningRate - (plan.epoch == 0 ? 3.5e-4 : 3.5e-5)) < 1e-15)
        expected = plan.next
        return plan
      }
    }
    let whole = try plans(from: 0)
    #expect(whole.count == 10 && whole[9].next == nil && whole.dropLast().allSatisfy { $0.next != nil })
    #expect(try plans(from: 7) == Array(whole[7...]))
  }

  /// What each of two ranks says, where they may have other data or another loss scale.
  private func messages(_ data: [[Sample]], lossScales: [Double]) throws -> [String?] {
    try ThreadCommunicator.run(2) { communicator -> String? in
      let coordinator = try coordinator(data[communicator.rank], communicator)
      _ = try coordinator.announce(step: 0)
      return message(.data) { _ = try coordinator.plan(step: 0, lossScale: lossScales[communicator.rank]) }
    }
  }

  @Test func ranksThatDriftApartStop() throws {
    let same = samples(5)
    let apart = "step 1: the training images here are not those of rank 0 (other files or another order)"
    #expect(try messages([same, same], lossScales: [8, 8]) == [nil, nil])
    // Nodes may have the data in other folders, but not other files, another order or other identities.
    #expect(try messages([same, samples(5, folder: "/else/where")], lossScales: [8, 8]) == [nil, nil])
    let renamed = same.map { Sample(path: $0.path + "x", identity: $0.identity, camera: $0.camera) }
    let relabelled = same.map { Sample(path: $0.path, identity: $0.identity + 1, camera: $0.camera) }
    for other in [renamed, relabelled, same.reversed()] {
      #expect(try messages([same, other], lossScales: [8, 8]) == [nil, apart])
    }
    let scales = try messages([same, same], lossScales: [8, 16])
    #expect(scales[0] == nil && scales[1]?.contains("loss scale 16.0 here, 8.0 on rank 0") == true)
  }
}
