import Network
import Tensors
import Testing

/// A rehearsed step tells what memory the real one takes.
@Suite struct RehearsalTests {
  @Test(arguments: AblationTests.all) func reportsTheSameMemory(_ ablation: AblationTests.Ablation) throws {
    var trial = Trial(architecture: ablation.architecture)
    trial.threads = 2
    let real = try trial.step(Float16.self)
    let rehearsed = try trial.step(Float16.self, rehearsal: true)
    #expect(real.arenaBytes > 0 && rehearsed.arenaBytes == real.arenaBytes)
    #expect(real.scratchBytes > 0 && rehearsed.scratchBytes == real.scratchBytes)
  }

  /// More images take more memory, and nothing of it is computed: the full network is rehearsed at once.
  @Test func theFullNetwork() throws {
    var trial = Trial(architecture: Architecture(identities: 751))
    (trial.height, trial.width, trial.labels) = (256, 128, [0, 0, 1, 1])
    let four = try trial.step(Float16.self, rehearsal: true)
    trial.labels += [2, 2, 3, 3]
    let eight = try trial.step(Float16.self, rehearsal: true)
    #expect(eight.arenaBytes > four.arenaBytes && four.arenaBytes > 100 << 20)
    #expect(four.embedding.count == 4 * 512 && four.gradient.allSatisfy { $0 == 0 })
  }
}
