import Layers
import Network
import Tensors
import Testing

/// The paper's network and every ablation of its tables: they run, and their gradients are right.
@Suite struct AblationTests {
  struct Ablation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let architecture: Architecture

    init(_ name: String, _ change: (inout Architecture) -> Void) {
      testDescription = name
      architecture = Trial.small(change)
    }
  }

  static let all = [
    Ablation("MSFL") { _ in },
    Ablation("baseline") { $0.head = .baseline },
    Ablation("baseline, last stride 1") { ($0.head, $0.lastStride) = (.baseline, 1) },
    Ablation("last stride 1") { $0.lastStride = 1 },
    Ablation("own weights") { $0.sharedPyramid = false },
    Ablation("direct, stages 3 and 4") {
      ($0.stages, $0.lateral, $0.topDown, $0.fusion) = ([3, 4], false, false, false)
    },
    Ablation("direct, all stages") { ($0.lateral, $0.topDown, $0.fusion) = (false, false, false) },
    Ablation("lateral only") { ($0.topDown, $0.fusion) = (false, false) },
    Ablation("top-down only") { ($0.lateral, $0.fusion) = (false, false) },
    Ablation("no lateral") { $0.lateral = false },
    Ablation("no top-down") { $0.topDown = false },
    Ablation("no fusion") { $0.fusion = false },
    Ablation("stages 2, 3 and 4") { $0.stages = [2, 3, 4] },
    Ablation("stages 1 and 4") { $0.stages = [1, 4] },
  ]

  /// In float64, central differences of the loss along random directions within a part of the network. Some ReLU among
  /// the hundreds of thousands stands close to its kink, and crossing one shows; so several small steps are tried, of
  /// which one has to agree. A wrong gradient agrees with none.
  @Test(arguments: all) func gradientIsTheDerivative(_ ablation: Ablation) throws {
    let trial = Trial(architecture: ablation.architecture)
    let analytic = try trial.step(Double.self)
    let layout = ReIDNetwork<Double>(ablation.architecture).layout
    #expect(analytic.loss.isFinite && analytic.embedding.contains { $0 > 0 })
    var random = CounterRandom(seed: 5, purpose: .probing)
    for part in ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "pyramid", "fusion", "neck", "classifier"] {
      let slots = layout.slots.filter { $0.name.hasPrefix(part + ".") }
      guard !slots.isEmpty else { continue }
      var direction = [Double](repeating: 0, count: layout.count)
      for slot in slots { for i in slot.range { direction[i] = random.normal() } }
      let size = norm(slots.flatMap { Array(analytic.gradient[$0.range]) })
      #expect(size > 0)
      var errors: [Double] = []
      for h in [1e-9, 1e-8, 1e-10, 1e-7] where !errors.contains(where: { $0 < 1e-5 }) {
        let up = try trial.step(Double.self, moved: direction.map { h * $0 }, backward: false).loss
        let down = try trial.step(Double.self, moved: direction.map { -h * $0 }, backward: false).loss
        errors.append(abs((up - down) / (2 * h) - dot(analytic.gradient, direction)) / size)
      }
      #expect(errors.contains { $0 < 1e-5 }, "\(ablation.testDescription), \(part): relative errors \(errors)")
    }
  }

  /// In training precision every weight gets a finite gradient that is not zero; the padding gets none.
  @Test(arguments: all) func everyWeightLearns(_ ablation: Ablation) throws {
    let trial = Trial(architecture: ablation.architecture)
    let layout = ReIDNetwork<Float16>(ablation.architecture).layout
    let result = try trial.step(Float16.self)
    #expect(result.gradient.allSatisfy { $0.isFinite })
    for slot in layout.slots where slot.kind != .bias {
      #expect(norm(Array(result.gradient[slot.range])) > 0, "\(slot.name)")
    }
    let inside = Set(layout.slots.flatMap { Array($0.range) })
    #expect(result.gradient.indices.allSatisfy { inside.contains($0) || result.gradient[$0] == 0 })
  }

  /// The gradient of a scaled loss is the scaled gradient: in float64 to the last bits, in float16 until it overflows.
  @Test func lossScaleOnlyScales() throws {
    let trial = Trial(architecture: Trial.small())
    let one = try trial.step(Double.self)
    let scaled = try trial.step(Double.self, scale: 4096)
    #expect(relativeError(scaled.gradient, one.gradient) < 1e-14)
    let over = try trial.step(Float16.self, scale: 0x1p40)
    #expect(over.gradient.contains { !$0.isFinite }, "an overflow shows in the gradient")
  }
}
