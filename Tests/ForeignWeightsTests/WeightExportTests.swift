import ForeignWeights
import Layers
import Network
import Storage
import Tensors
import TestSupport
import Testing

/// Under which names tensors leave, and that they come back with the same values.
@Suite struct WeightExportTests {
  private func architecture(_ trunk: TrunkKind, _ norm: TrunkNorm = .batch) -> Architecture {
    var architecture = Architecture(head: .baseline, width: 0.0625, embedding: 8, identities: 3)
    (architecture.trunk, architecture.norm) = (trunk, norm)
    return architecture
  }

  @Test(arguments: [
    (TrunkKind.resnet18, TrunkNorm.batch, ForeignTool.torchvision), (.resnet50, .batch, .timm),
    (.osnet, .batch, .torchreid), (.resnet18, .ibnA, .ibnNet), (.resnet34, .ibnA, .fastReID),
  ]) func aTrunkComesBackAsItWas(_ trunk: TrunkKind, _ norm: TrunkNorm, _ tool: ForeignTool) throws {
    let network = ReIDNetwork<Float>(architecture(trunk, norm)), workers = Workers(count: 1)
    let parameters = network.initialized(seed: 3, workers), export = try WeightExport(network, tool)
    let folder = try TemporaryFolder(), path = "\(folder.path)/a.safetensors"
    try export.write(parameters, to: path)
    let found = WeightImport(try ForeignFile(path: path))
    #expect(found.trunk?.kind == trunk && found.trunk?.norm == norm && found.missing.isEmpty)
    #expect(found.takenCount == export.taken.count && found.takenCount == network.trunkTensors.count)
    let written = Dictionary(uniqueKeysWithValues: found.file.tensors.map { ($0.name, $0) })
    for (name, slot, isStatistic) in export.taken {
      let tensor = try #require(written[name])
      #expect(tensor.shape == slot.shape)
      let values = isStatistic ? parameters.statistics : parameters.values
      #expect(try tensor.floats() == ParameterLayout.toFile(slot, values.pointer))
    }
    #expect(
      Set(export.left) == [
        "neck.bn.weight", "neck.bn.bias", "neck.fc.weight", "neck.fc.bias", "classifier.weight",
        "classifier.bias", "neck.bn.running_mean", "neck.bn.running_var",
      ])
  }

  @Test func fastReIDTakesNeckAndClassifier() throws {
    var architecture = architecture(.resnet18), head = HeadOptions()
    (head.name, head.neck, head.sources) = ("global", NeckChoice(.bnneck), [.stage(4)])
    architecture.heads = [head]
    let names = try WeightExport(ReIDNetwork<Float>(architecture), .fastReID).taken.map(\.name)
    #expect(names.contains("backbone.layer4.1.conv2.weight"))
    #expect(
      names.filter { $0.hasPrefix("heads.") }.sorted() == [
        "heads.bottleneck.0.running_mean", "heads.bottleneck.0.running_var", "heads.bottleneck.0.weight",
        "heads.weight",
      ])
  }

  /// With the bias in front of each block's norm that the network there has, which is 0.
  @Test func fastReIDTakesNonLocalBlocks() throws {
    var architecture = architecture(.resnet18), options = NonLocalOptions()
    (options.blocks, options.channels) = ([0, 1, 2, 0], 2)
    architecture.attention = .nonLocal(options)
    let network = ReIDNetwork<Float>(architecture), export = try WeightExport(network, .fastReID)
    let folder = try TemporaryFolder(), path = "\(folder.path)/a.safetensors"
    try export.write(network.initialized(seed: 3, Workers(count: 1)), to: path)
    let file = try SafetensorsFile(path: path), bias = "backbone.NL_3.1.W.0.bias"
    #expect(try file.shape(bias) == [16] && file.values(bias) == [Float](repeating: 0, count: 16))
    let found = WeightImport(try ForeignFile(path: path))
    #expect(found.missing.isEmpty && found.takenCount == export.taken.count)
    #expect(found.trunk?.settings.last == "model.attention={nonLocal: {blocks: [0, 1, 2, 0], channels: 2}}")
  }

  @Test func whatAToolDoesNotHaveIsRefused() throws {
    func refusal(_ architecture: Architecture, _ tool: ForeignTool) throws -> String {
      let network = ReIDNetwork<Float>(architecture)
      return try #require(message(.usage) { _ = try WeightExport(network, tool) })
    }
    #expect(
      try refusal(architecture(.resnet18, .ibnA), .torchvision)
        == "--names torchvision: no network with model.norm ibn-a is written under its names")
    #expect(
      try refusal(architecture(.osnet), .timm)
        == "--names timm: no network with model.trunk osnet is written under its names")
    var gated = architecture(.resnet18), aligned = gated
    gated.attention = TrunkAttention(.se)
    aligned.filters = .aligned
    #expect(try refusal(gated, .timm).hasSuffix("no network with model.attention se is written under its names"))
    #expect(
      try refusal(aligned, .torchreid).hasSuffix("no network with model.filters aligned is written under its names"))
  }
}
