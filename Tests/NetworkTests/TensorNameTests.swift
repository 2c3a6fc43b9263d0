import Network
import Tensors
import Testing

/// The names and shapes of tensors in files, a contract.
@Suite struct TensorNameTests {
  private let norms = ["weight", "bias"], statistics = ["running_mean", "running_var"]

  /// torchvision's names of ResNet-50 with the shapes of its tensors.
  private func backbone() -> [(name: String, shape: [Int])] {
    var names: [(String, [Int])] = [("conv1.weight", [64, 3, 7, 7])]
    func norm(_ name: String, _ channels: Int) { for s in norms { names.append(("\(name).\(s)", [channels])) } }
    norm("bn1", 64)
    var inputs = 64
    for (stage, depth) in [3, 4, 6, 3].enumerated() {
      let inner = 64 << stage
      for block in 0..<depth {
        let prefix = "layer\(stage + 1).\(block)"
        for (index, shape) in [[inner, inputs, 1, 1], [inner, inner, 3, 3], [4 * inner, inner, 1, 1]].enumerated() {
          names.append(("\(prefix).conv\(index + 1).weight", shape))
          norm("\(prefix).bn\(index + 1)", shape[0])
        }
        if block == 0 {
          names.append(("\(prefix).downsample.0.weight", [4 * inner, inputs, 1, 1]))
          norm("\(prefix).downsample.1", 4 * inner)
        }
        inputs = 4 * inner
      }
    }
    return names
  }

  private func check(_ layout: ParameterLayout, _ expected: [(name: String, shape: [Int])]) {
    #expect(Set(layout.slots.map(\.name)) == Set(expected.map(\.name)))
    #expect(layout.slots.count == expected.count)
    for (name, shape) in expected { #expect(layout[name]?.shape == shape, "\(name)") }
  }

  private func running(_ parameters: [(name: String, shape: [Int])]) -> [(name: String, shape: [Int])] {
    parameters.filter { $0.shape.count == 1 && ($0.name.contains("bn") || $0.name.contains("downsample.1")) }
      .filter { $0.name.hasSuffix(".weight") }
      .flatMap { entry in statistics.map { (entry.name.dropLast("weight".count) + $0, entry.shape) } }
  }

  private func neck(features: Int) -> [(name: String, shape: [Int])] {
    [
      ("neck.bn.weight", [features]), ("neck.bn.bias", [features]), ("neck.fc.weight", [512, features]),
      ("neck.fc.bias", [512]),
      ("classifier.weight", [751, 512]), ("classifier.bias", [751]),
    ]
  }

  @Test func baseline() {
    let network = ReIDNetwork<Float>(Architecture(head: .baseline, identities: 751))
    let expected = backbone() + neck(features: 2048)
    #expect(backbone().count == 159, "torchvision's resnet50 has 161 parameters, fc among them")
    check(network.layout, expected)
    check(network.statistics, running(expected))
  }

  @Test func msfl() {
    let network = ReIDNetwork<Float>(Architecture(identities: 751))
    var expected = backbone() + neck(features: 2048)
    for (stage, channels) in zip(1...4, [256, 512, 1024, 2048]) {
      expected += [
        ("pyramid.lateral.\(stage).weight", [512, channels, 1, 1]), ("pyramid.lateral.\(stage).bias", [512]),
      ]
    }
    expected += [("pyramid.smooth.weight", [512, 512, 1, 1]), ("pyramid.smooth.bias", [512])]
    let fusion = [[128, 512, 1, 1], [128, 128, 3, 3], [512, 128, 1, 1]]
    for (index, shape) in fusion.enumerated() { expected.append(("fusion.conv\(index + 1).weight", shape)) }
    for stage in 1...3 {
      for use in 0..<4 - stage {
        for (index, shape) in fusion.enumerated() {
          for s in norms { expected.append(("fusion.norms.\(stage).\(use).bn\(index + 1).\(s)", [shape[0]])) }
        }
      }
    }
    check(network.layout, expected)
    check(network.statistics, running(expected))
  }

  /// With own weights each use has its convolutions; the norms keep their names.
  @Test func ownWeights() {
    let shared = ReIDNetwork<Float>(Architecture(identities: 5))
    let own = ReIDNetwork<Float>(Architecture(sharedPyramid: false, identities: 5))
    let names = own.layout.slots.map(\.name)
    #expect(names.filter { $0.hasPrefix("fusion.") && $0.contains(".conv") }.count == 6 * 3)
    #expect(names.filter { $0.hasPrefix("pyramid.smooth.") }.count == 3 * 2)
    #expect(own.layout["fusion.conv1.weight"] == nil && own.layout["pyramid.smooth.weight"] == nil)
    #expect(own.statistics.slots.map(\.name) == shared.statistics.slots.map(\.name))
  }

  @Test func kindsFollowTheLayers() {
    let layout = ReIDNetwork<Float>(Architecture(identities: 5)).layout
    for slot in layout.slots {
      let kind: ParameterLayout.Kind =
        slot.shape.count == 4
        ? .convolution
        : slot.shape.count == 2
          ? .linear
          : slot.name.contains("bn") || slot.name.contains("downsample.1")
            ? (slot.name.hasSuffix("weight") ? .normScale : .normShift) : .bias
      #expect(slot.kind == kind, "\(slot.name)")
    }
  }
}
