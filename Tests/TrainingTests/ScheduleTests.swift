import Testing

import Training

@Suite struct ScheduleTests {
  private func schedule(_ settings: String...) throws -> Schedule {
    Schedule(try Configuration.resolve(settings: settings))
  }

  private func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-14 * abs(b) }

  @Test func thePapersSteps() throws {
    let schedule = try schedule()
    for (epoch, expected) in [(0, 3.5e-4), (39, 3.5e-4), (40, 3.5e-5), (69, 3.5e-5), (70, 3.5e-6), (119, 3.5e-6)] {
      for step in [0, 17] {
        #expect(isClose(schedule.learningRate(epoch: epoch, step: step, stepsPerEpoch: 18), expected))
      }
    }
    #expect(schedule.learningRate(epoch: 0, step: 0, stepsPerEpoch: 1) == 3.5e-4)
  }

  /// With a base of 1 and 4 steps an epoch. The first two rows are also what PyTorch's
  /// `LinearLR(start_factor=0.1, total_iters=8)` gives when stepped each step.
  @Test func warmupRisesByStepAndEndsAtTheFullRate() throws {
    let schedule = try schedule(
      "optimizer.learningRate=1", "schedule.warmupEpochs=2", "schedule.warmupFactor=0.1", "schedule.steps=[3]",
      "schedule.factor=0.5")
    let expected = [
      [0.1, 0.2125, 0.325, 0.4375], [0.55, 0.6625, 0.775, 0.8875], [1, 1, 1, 1], [0.5, 0.5, 0.5, 0.5],
    ]
    for (epoch, row) in expected.enumerated() {
      for (step, rate) in row.enumerated() {
        #expect(isClose(schedule.learningRate(epoch: epoch, step: step, stepsPerEpoch: 4), rate))
      }
    }
  }

  @Test func aFallDuringWarmupCountsToo() throws {
    let schedule = try schedule(
      "optimizer.learningRate=1", "schedule.warmupEpochs=4", "schedule.warmupFactor=1", "schedule.steps=[1, 2]",
      "schedule.factor=0.25")
    #expect(schedule.learningRate(epoch: 3, step: 0, stepsPerEpoch: 2) == 0.0625)
  }
}
