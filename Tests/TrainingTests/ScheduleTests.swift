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

  @Test func theTrunkMayStandStill() throws {
    let epochs = try schedule("schedule.frozenEpochs=2"), steps = try schedule("schedule.frozenSteps=3")
    let both = try schedule("schedule.frozenEpochs=2", "schedule.frozenSteps=3")
    func frozen(_ schedule: Schedule) -> Int { (0..<40).count { schedule.freezesTrunk(step: $0, stepsPerEpoch: 5) } }
    #expect([frozen(try schedule()), frozen(epochs), frozen(steps), frozen(both)] == [0, 10, 3, 13])
    #expect(epochs.freezesTrunk(step: 9, stepsPerEpoch: 5) && !epochs.freezesTrunk(step: 10, stepsPerEpoch: 5))
  }

  private func rates(_ schedule: Schedule, epochs: Int, stepsPerEpoch: Int) -> [Double] {
    (0..<epochs * stepsPerEpoch).map {
      schedule.learningRate(epoch: $0 / stepsPerEpoch, step: $0 % stepsPerEpoch, stepsPerEpoch: stepsPerEpoch)
    }
  }

  /// What PyTorch's `CosineAnnealingLR(T_max=8, eta_min=0.1)` and `PolynomialLR(total_iters=8, power=2)` give step by step.
  @Test(arguments: [
    (
      "{cosine: {floor: 0.1}}",
      [
        1.0, 0.9657457896300791, 0.8681980515339464, 0.7222075445642905, 0.55, 0.3777924554357097, 0.2318019484660537,
        0.134254210369921,
      ]
    ),
    (
      "{polynomial: {power: 2}}",
      [
        1.0, 0.765625, 0.5625, 0.39062500000000006, 0.2500000000000001, 0.14062500000000006, 0.06250000000000003,
        0.015625000000000007,
      ]
    ),
  ]) func theRateFallsAsInPyTorch(_ kind: String, _ expected: [Double]) throws {
    let schedule = try schedule("optimizer.learningRate=1", "schedule.kind=\(kind)", "schedule.epochs=2")
    for (rate, other) in zip(rates(schedule, epochs: 2, stepsPerEpoch: 4), expected) {
      #expect(abs(rate - other) < 1e-12)
    }
  }

  /// A cosine with a delay stands for these epochs, warm-up within them, and then falls to the end as any other.
  @Test func aCosineMayWait() throws {
    func made(_ kind: String, epochs: Int, _ more: String...) throws -> [Double] {
      let settings = ["optimizer.learningRate=1", "schedule.kind=\(kind)", "schedule.epochs=\(epochs)"] + more
      return rates(Schedule(try Configuration.resolve(settings: settings)), epochs: epochs, stepsPerEpoch: 4)
    }
    let usual = try made("{cosine: {floor: 0.1}}", epochs: 2)
    let waiting = try made(
      "{cosine: {floor: 0.1, delay: 3}}", epochs: 5, "schedule.warmupSteps=2", "schedule.warmupFactor=0.5")
    #expect(waiting == [0.5, 0.75] + [Double](repeating: 1, count: 10) + usual)
    #expect(try made("{cosine: {floor: 0.1, delay: 9}}", epochs: 2) == [Double](repeating: 1, count: 8))
  }

  /// The fall begins where warm-up ends, and ends with the run, also where that is cut short.
  @Test func aFallEndsWithTheRun() throws {
    let schedule = try schedule(
      "optimizer.learningRate=1", "schedule.kind={polynomial: {power: 1}}", "schedule.epochs=100",
      "schedule.maxSteps=10",
      "schedule.warmupSteps=2", "schedule.warmupFactor=0.5", "schedule.steps=1")
    #expect(schedule.totalSteps(4) == 10 && schedule.totalSteps(1) == 10)
    let expected = [0.5, 0.75] + (0..<8).map { 1 - Double($0) / 8 }
    for (rate, other) in zip(rates(schedule, epochs: 3, stepsPerEpoch: 4), expected) {
      #expect(abs(rate - other) < 1e-15)
    }
    #expect(schedule.learningRate(epoch: 9, step: 0, stepsPerEpoch: 4) == 0)
  }
}
