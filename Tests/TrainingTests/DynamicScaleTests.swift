import Foundation
import Testing
import Training

@Suite struct DynamicScaleTests {
  private func scale(_ settings: String...) throws -> DynamicScale {
    DynamicScale(try Configuration.resolve(settings: settings))
  }

  @Test func doublesAfterCleanStepsAndHalvesAtOnce() throws {
    var scale = try scale("lossScale.initial=1024", "lossScale.growthInterval=3")
    let outcomes = [true, true, true, true, true, false, true, true, true, false, false]
    let expected: [Double] = [1024, 1024, 2048, 2048, 2048, 1024, 1024, 1024, 2048, 1024, 512]
    for (finite, value) in zip(outcomes, expected) {
      let counts = scale.update(finite: finite)
      #expect(counts == finite)
      #expect(scale.scale == value)
    }
    #expect(scale.skipped == 3 && scale.cleanSteps == 0)
  }

  @Test func staysWithinItsBounds() throws {
    var scale = try scale("lossScale.growthInterval=1")
    for _ in 0..<40 { _ = scale.update(finite: true) }
    #expect(scale.scale == 0x1p24)
    var halvings = 0
    while scale.halve() { halvings += 1 }
    #expect(halvings == 38 && scale.scale == 0x1p-14)
    let counts = scale.update(finite: false)
    #expect(!counts && scale.scale == 0x1p-14 && scale.skipped == 1)
  }

  @Test(arguments: ["float32", "float64"]) func wideStorageNeedsNone(_ storage: String) throws {
    var scale = try scale("precision.storage=\(storage)", "lossScale.growthInterval=1")
    #expect(scale.scale == 1)
    for finite in [true, false] {
      let counts = scale.update(finite: finite)
      #expect(counts == finite && scale.scale == 1)
    }
    let isHalved = scale.halve()
    #expect(!isHalved && scale.scale == 1 && scale.skipped == 1)
  }

  @Test func survivesItsCheckpoint() throws {
    var scale = try scale("lossScale.initial=64", "lossScale.growthInterval=5")
    for finite in [true, false, true, true] { _ = scale.update(finite: finite) }
    var restored = try JSONDecoder().decode(DynamicScale.self, from: try JSONEncoder().encode(scale))
    #expect(restored == scale)
    for _ in 0..<3 {
      _ = restored.update(finite: true)
      _ = scale.update(finite: true)
    }
    #expect(restored == scale && restored.scale == 64)
  }
}

@Suite struct DynamicScaleResumeTests {
  private func scale(_ settings: String...) throws -> DynamicScale {
    DynamicScale(try Configuration.resolve(settings: settings))
  }

  @Test func resumesOnlyWhereBothAreDynamic() throws {
    var saved = try scale("lossScale.initial=1024")
    _ = saved.update(finite: false)
    var half = try scale("lossScale.initial=64"), single = try scale("precision.storage=float32")
    half.resume(from: saved)
    #expect(half.scale == 512 && half.skipped == 1)
    single.resume(from: saved)
    #expect(single.scale == 1 && single.skipped == 1)
    var back = try scale("lossScale.initial=64")
    back.resume(from: single)
    #expect(back.scale == 64 && back.skipped == 1)
  }
}
