import Layers
import Network
import Tensors
import Testing

/// Parameters and multiply-adds at 256 × 128, without the classifier: the figures that the paper's Table II rounds.
@Suite struct CountTests {
  private func counts(_ change: (inout Architecture) -> Void) -> (parameters: Int, multiplyAdds: Int) {
    var architecture = Architecture(identities: 751)
    change(&architecture)
    let network = ReIDNetwork<Float16>(architecture)
    let rows = try! network.inventory(height: 256, width: 128).rows.filter { $0.name != "classifier" }
    let parameters = rows.reduce(0) { $0 + $1.parameters }
    let classifier = network.layout.slots.filter { $0.name.hasPrefix("classifier.") }.reduce(0) { $0 + $1.count }
    #expect(classifier == 751 * 512 + 751)
    #expect(network.layout.scalars - classifier == parameters, "the table and the layout count alike")
    return (parameters, rows.reduce(0) { $0 + $1.multiplyAdds })
  }

  /// ResNet-50 with the neck by arithmetic alone.
  private func baselineMultiplyAdds(lastStride: Int) -> Int {
    var height = 128
    var width = 64
    var total = 128 * 64 * 64 * 3 * 49
    var inputs = 64
    (height, width) = (64, 32)
    for (stage, depth) in [3, 4, 6, 3].enumerated() {
      let inner = 64 << stage
      let stride = stage == 0 ? 1 : stage == 3 ? lastStride : 2
      for block in 0..<depth {
        let area = height * width
        if block == 0 { (height, width) = (height / stride, width / stride) }
        let small = height * width
        total += area * inputs * inner + small * inner * inner * 9 + small * inner * 4 * inner
        if block == 0 { total += small * inputs * 4 * inner }
        inputs = 4 * inner
      }
    }
    return total + 2048 * 512
  }

  @Test func baseline() {
    let (parameters, multiplyAdds) = counts { $0.head = .baseline }
    #expect(parameters == 24_561_216 && multiplyAdds == 2_670_198_784)
    #expect(multiplyAdds == baselineMultiplyAdds(lastStride: 2))
  }

  @Test func msfl() {
    let (parameters, multiplyAdds) = counts { _ in }
    #expect(parameters == 27_079_744 && multiplyAdds == 5_910_298_624)
  }

  /// Own weights: five more sets of the fusion convolutions, two more of `smooth`; the same arithmetic.
  @Test func ownWeights() {
    let (parameters, multiplyAdds) = counts { $0.sharedPyramid = false }
    #expect(parameters == 27_079_744 + 5 * (512 * 128 + 128 * 128 * 9 + 128 * 512) + 2 * (512 * 512 + 512))
    #expect(abs(Double(parameters) / 1e6 - 29.0) < 0.05)
    #expect(multiplyAdds == 5_910_298_624)
  }

  @Test func lastStrideOne() {
    let (parameters, multiplyAdds) = counts { ($0.head, $0.lastStride) = (.baseline, 1) }
    #expect(parameters == 24_561_216)
    #expect(multiplyAdds == baselineMultiplyAdds(lastStride: 1))
    #expect(abs(Double(multiplyAdds) / 1e9 - 4.1) < 0.1)
  }

  /// A Lite 3×3 of c channels has c² + 9c weights; what is published for the network is 2.2 M parameters and 979 M
  /// multiply-adds.
  private func osnet(width: Int) -> (parameters: Int, multiplyAdds: Int) {
    let channels = [64, 256, 384, 512].map { $0 * width / 4 }
    var parameters = channels[0] * (147 + 2), total = 128 * 64 * 147 * channels[0], area = 64 * 32
    for stage in 1...3 {
      let c = channels[stage], inner = c / 4, hidden = max(1, inner / 16)
      if stage > 1 {
        let before = channels[stage - 1]
        parameters += before * before + 2 * before
        total += area * before * before
        area /= 4
      }
      for block in 0..<2 {
        let inputs = block == 0 ? channels[stage - 1] : c, light = inner * inner + 9 * inner
        parameters += inputs * inner + 2 * inner + 10 * (light + 2 * inner) + inner * c + 2 * c
        parameters += 2 * inner * hidden + hidden + inner
        total += area * (inputs * inner + 10 * light + inner * c) + 4 * 2 * inner * hidden
        if block == 0 {
          parameters += inputs * c + 2 * c
          total += area * inputs * c
        }
      }
    }
    return (parameters + channels[3] * channels[3] + 2 * channels[3], total + area * channels[3] * channels[3])
  }

  @Test(arguments: [TrunkKind.osnet, .osnetAin]) func omniScale(_ kind: TrunkKind) {
    for width in 1...4 {
      let (parameters, multiplyAdds) = counts { ($0.head, $0.trunk, $0.width) = (.baseline, kind, Double(width) / 4) }
      let (trunk, work) = osnet(width: width), features = 128 * width
      #expect(parameters == trunk + 2 * features + 512 * features + 512 && multiplyAdds == work + 512 * features)
    }
    let (parameters, multiplyAdds) = osnet(width: 4)
    // torchreid prints 2,193,616 and 978,878,352: with an embedding of 512·512 weights, biases and a batch norm, with the gates
    // that four streams share counted four times, and with the additions of biases, those of gates and embedding.
    let gates = [64, 96, 128].map { 2 * (2 * $0 * ($0 / 16) + $0 / 16 + $0) }.reduce(0, +)
    #expect(parameters + 512 * 512 + 3 * 512 + 3 * gates == 2_193_616)
    #expect(multiplyAdds + 512 * 512 + 4 * 2 * (64 + 4 + 96 + 6 + 128 + 8) + 512 == 978_878_352)
  }

  @Test func shapesOfTheStages() throws {
    let rows = try ReIDNetwork<Float>(Architecture(identities: 10)).inventory(height: 256, width: 128).rows
    func output(_ name: String) -> Shape? { rows.first { $0.name == name }?.output }
    #expect(output("conv1 + bn1") == Shape(1, 128, 64, 64) && output("maxpool") == Shape(1, 64, 32, 64))
    #expect(output("layer1.2") == Shape(1, 64, 32, 256) && output("layer2.3") == Shape(1, 32, 16, 512))
    #expect(output("layer3.5") == Shape(1, 16, 8, 1024) && output("layer4.2") == Shape(1, 8, 4, 2048))
    #expect(output("neck.bn") == Shape(1, 1, 1, 2048) && output("neck.fc") == Shape(1, 1, 1, 512))
    #expect(rows.last?.name == "classifier" && rows.last?.output.channels == 10)
  }

  /// `width` scales backbone and pyramid, not the embedding; the feature is as long as what is concatenated.
  @Test func widthScalesChannels() {
    var architecture = Architecture(width: 0.25, identities: 7)
    #expect(
      architecture.channels(64) == 16 && architecture.pyramidChannels == 128)
    #expect(architecture.embedding == 512 && architecture.usualSources == [.level1, .level2, .level3, .level4])
    let layout = ReIDNetwork<Float>(architecture).layout
    #expect(layout["neck.fc.weight"]?.shape == [512, 512] && layout["classifier.weight"]?.shape == [7, 512])
    #expect(layout["conv1.weight"]?.shape == [16, 3, 7, 7] && layout["fusion.conv2.weight"]?.shape == [32, 32, 3, 3])
    (architecture.stages, architecture.lateral, architecture.topDown, architecture.fusion) = (
      [3, 4], false, false, false
    )
    #expect(architecture.isDirect && architecture.usualSources == [.stage3, .stage4])
    architecture.head = .baseline
    #expect(architecture.usualSources == [.stage4])
    #expect(Architecture(width: 0.001, identities: 1).channels(64) == 1)
  }
}
