import ForeignWeights
import Foundation
import Layers
import Network
import Storage
import Tensors
import TestSupport
import Testing

/// Where tensors go by their names, and which network they are of.
@Suite struct WeightImportTests {
  /// The tensors of a trunk of Lineup's, whose names are those of torchvision, IBN-Net and torchreid.
  private func trunk(
    _ kind: TrunkKind, _ norm: TrunkNorm = .batch, width: Double = 0.25,
    attention: TrunkAttention = TrunkAttention(.none)
  ) -> [(String, [Int])] {
    var architecture = Architecture(head: .baseline, width: width, identities: 3)
    (architecture.trunk, architecture.norm, architecture.attention) = (kind, norm, attention)
    let network = ReIDNetwork<Float>(architecture)
    return (network.layout.slots + network.statistics.slots).filter { network.trunkTensors.contains($0.name) }.map {
      ($0.name, $0.shape)
    }
  }

  private func imported(
    _ tensors: [(String, [Int])], _ types: [String: SafetensorsType] = [:], head: String? = nil, under: String? = nil
  ) throws
    -> (fates: [String: String], WeightImport)
  {
    let folder = try TemporaryFolder(), path = try folder.file("a.safetensors")
    let zeros = [UInt8](repeating: 0, count: tensors.map { $0.1.reduce(8, *) }.max() ?? 0)
    try zeros.withUnsafeBytes { bytes in
      try SafetensorsWriter.write(
        tensors.map { name, shape in
          let type = types[name] ?? .float32
          return SafetensorsTensor(
            name, shape: shape, type: type,
            bytes: UnsafeRawBufferPointer(rebasing: bytes[..<(shape.reduce(type.bytes, *))]))
        }, to: path)
    }
    let weights = WeightImport(try ForeignFile(path: path), head: head, under: under)
    let fates = zip(weights.file.tensors, weights.fates).map { tensor, fate in
      switch fate {
      case .taken(let name, _): (tensor.name, "→ \(name)")
      case .left(let why): (tensor.name, why)
      }
    }
    return (Dictionary(uniqueKeysWithValues: fates), weights)
  }

  @Test(arguments: TrunkKind.allCases) func everyTrunkIsKnown(_ kind: TrunkKind) throws {
    for norm in kind.isResNet ? TrunkNorm.allCases : [.batch] {
      let names = trunk(kind, norm), (fates, weights) = try imported(names.map { ("module.model." + $0.0, $0.1) })
      let found = try #require(weights.trunk)
      #expect(found.kind == kind && found.norm == norm && found.width == 0.25 && weights.missing.isEmpty)
      #expect(names.allSatisfy { fates["module.model." + $0.0] == "→ \($0.0)" })
    }
  }

  @Test func fastReID() throws {
    let tensors =
      trunk(.resnet50, .ibnA).map { ("model.backbone.\($0.0)", $0.1) } + [
        ("model.backbone.bn1.num_batches_tracked", []), ("model.heads.weight", [7, 512]),
        ("model.heads.bottleneck.0.weight", [512]), ("model.heads.bottleneck.0.running_var", [512]),
        ("model.heads.pool_layer.p", [1]), ("model.pixel_mean", [1, 3, 1, 1]), ("optimizer.state.0.exp_avg", [4]),
        ("model.backbone.att_2.0.g.weight", [4, 4, 1, 1]),
      ]
    let (fates, weights) = try imported(tensors, ["model.backbone.bn1.num_batches_tracked": .int64])
    #expect(weights.trunk?.settings == ["model.trunk=resnet50", "model.norm=ibn-a", "model.width=0.25"])
    #expect(fates["model.backbone.layer1.0.bn1.IN.weight"] == "→ layer1.0.bn1.IN.weight")
    #expect(fates["model.heads.bottleneck.0.weight"] == "→ neck.bn.weight")
    #expect(fates["model.heads.bottleneck.0.running_var"] == "→ neck.bn.running_var")
    #expect(fates["model.heads.pool_layer.p"] == "→ pool.stage4.p")
    #expect(fates["model.heads.weight"] == "the classifier of other classes")
    #expect(fates["model.backbone.bn1.num_batches_tracked"]?.hasPrefix("a count of batches") == true)
    #expect(fates["model.pixel_mean"]?.hasPrefix("what pixels") == true)
    #expect(fates["optimizer.state.0.exp_avg"] == "state of the optimizer")
    #expect(fates["model.backbone.att_2.0.g.weight"] == "resnet50 has no tensor of this name")
    #expect(weights.takenCount == tensors.count - 5)
    let (named, _) = try imported(tensors, head: "global")
    #expect(named["model.heads.bottleneck.0.weight"] == "→ heads.global.neck.bn.weight")
  }

  @Test func whatDoesNotFitIsLeft() throws {
    var tensors = trunk(.resnet18)
    tensors.append(("module.conv1.weight", tensors[0].1))
    tensors.append(("fc.weight", [1000, 128]))
    let place = try #require(tensors.firstIndex { $0.0 == "layer4.1.conv2.weight" })
    tensors[place].1[0] += 1
    let (fates, weights) = try imported(tensors, ["bn1.bias": .int64])
    #expect(fates["conv1.weight"] == "→ conv1.weight")
    #expect(fates["module.conv1.weight"] == "another conv1.weight; --under module takes what is there")
    #expect(fates["bn1.bias"] == "whole numbers, where bn1.bias has others")
    #expect(fates["layer4.1.conv2.weight"] == "resnet18 has the shape 128×128×3×3 there")
    #expect(fates["fc.weight"] == "the classifier of other classes")
    #expect(weights.missing == ["bn1.bias", "layer4.1.conv2.weight"])
    // The stem's norm is as wide as its weight.
    let (_, beheaded) = try imported(trunk(.resnet18).filter { $0.0 != "conv1.weight" })
    #expect(beheaded.trunk?.kind == .resnet18 && beheaded.missing == ["conv1.weight"])
  }

  /// Averaged weights beside those that were trained, and weights in a wrapper that nobody knows.
  @Test func otherCopies() throws {
    let names = trunk(.resnet18, width: 0.03125)
    let both = names.map { ("model.\($0.0)", $0.1) } + names.map { ("ema.module.\($0.0)", $0.1) }
    let (plain, _) = try imported(both)
    #expect(plain["model.layer2.0.bn1.bias"] == "→ layer2.0.bn1.bias")
    #expect(
      plain["ema.module.layer2.0.bn1.bias"] == "another layer2.0.bn1.bias; --under ema.module takes what is there")
    for under in ["ema", "ema.module"] {
      let (averaged, weights) = try imported(both, under: under)
      #expect(averaged["ema.module.conv1.weight"] == "→ conv1.weight" && weights.missing.isEmpty)
      #expect(averaged["model.conv1.weight"] == "another conv1.weight; --under model takes what is there")
    }
    let (wrapped, weights) = try imported(names.map { ("net.encoder.\($0.0)", $0.1) } + [("net.fc.weight", [3, 16])])
    #expect(wrapped["net.encoder.conv1.weight"] == "→ conv1.weight" && weights.missing.isEmpty)
    #expect(wrapped["net.fc.weight"] == "of another part of the file")
  }

  @Test(arguments: [16, 8]) func squeezeAndExcitation(_ reduction: Int) throws {
    var options = ReductionOptions()
    options.reduction = reduction
    let names = trunk(.resnet18, attention: .se(options))
    let timm = names.map {
      (
        $0.0.replacing("se.fc.0", with: "se.fc1").replacing("se.fc.2", with: "se.fc2"),
        $0.1.count == 2 ? $0.1 + [1, 1] : $0.1
      )
    }
    let (fates, weights) = try imported(timm)
    #expect(fates["layer1.0.se.fc1.weight"] == "→ layer1.0.se.fc.0.weight" && weights.missing.isEmpty)
    #expect(
      weights.trunk?.settings.last == (reduction == 16 ? "model.attention=se" : "model.attention={se: {reduction: 8}}"))
  }

  /// As AGW and fast-reid have them: what the bias of a block's last convolution adds, the norm behind it takes away.
  @Test(arguments: [1, 0]) func nonLocalBlocks(_ channels: Int) throws {
    var options = NonLocalOptions()
    (options.blocks, options.channels) = ([0, 0, 2, 1], channels)
    let names = trunk(.resnet18, width: 0.03125, attention: .nonLocal(options)).map { ("backbone." + $0.0, $0.1) }
    let bias = "backbone.NL_3.1.W.0.bias", mean = "NL_3.1.W.1.running_mean"
    let folder = try TemporaryFolder(), path = try folder.file("a.safetensors"),
      output = try folder.file("b.safetensors")
    try SafetensorsWriter.write(
      (names + [(bias, [8])]).map { name, shape in
        SafetensorsTensor(name, shape: shape) {
          [Float](repeating: name == bias ? 2 : name == "backbone." + mean ? 5 : 1, count: shape.reduce(1, *))
        }
      }, to: path)
    let weights = WeightImport(try ForeignFile(path: path))
    #expect(weights.missing.isEmpty && weights.takenCount == names.count)
    #expect(
      weights.trunk?.settings.last == "model.attention={nonLocal: {blocks: [0, 0, 2, 1], channels: \(channels)}}")
    try weights.write(to: output)
    let written = try SafetensorsFile(path: output)
    #expect(try written.values(mean) == [Float](repeating: 3, count: 8))
    #expect(try written.values("NL_3.0.W.1.running_mean") == [Float](repeating: 1, count: 8))
  }

  @Test func whatIsOfNoTrunk() throws {
    let (fates, weights) = try imported([("features.0.weight", [64, 3, 3, 3])])
    #expect(weights.trunk == nil && fates["features.0.weight"] == "of no network that Lineup knows")
    #expect(message(.data) { try weights.write(to: "/dev/null") }?.hasSuffix("is in it") == true)
  }

  /// Every element as it was, by other names.
  @Test func theFileThatIsWritten() throws {
    let folder = try TemporaryFolder(), path = try folder.file("a.pth"), output = try folder.file("b.safetensors")
    let names = trunk(.resnet18, width: 0.03125)
    let flat = names.map { ($0.0, $0.1, $0.1.reduce(1, *)) }
    var body = Array("}(".utf8), storages: [[UInt8]] = []
    for (index, (name, shape, count)) in flat.enumerated() {
      let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
      body +=
        Files.text("module." + name)
        + Files.tensor(
          key: "\(index)", count: count, type: index == 1 ? "DoubleStorage" : "FloatStorage", shape: shape,
          strides: strides)
      let values = (0..<count).map { Float($0) + Float(index) / 256 }
      storages.append(
        Files.little(UInt64(count))
          + (index == 1
            ? values.flatMap { Files.little(Double($0).bitPattern) } : values.flatMap { Files.little($0.bitPattern) }))
    }
    let keys = flat.indices.map { "\($0)" }
    try Data(Files.legacy(body + Array("u".utf8), keys: keys, storages: storages)).write(to: URL(fileURLWithPath: path))
    let weights = WeightImport(try ForeignFile(path: path))
    #expect(weights.takenCount == names.count && weights.trunk?.width == 0.03125)
    try weights.write(to: output)
    let written = try SafetensorsFile(path: output)
    #expect(written.names.count == names.count)
    for (index, (name, shape, count)) in flat.enumerated() {
      #expect(try written.shape(name) == shape && written.dtype(name) == (index == 1 ? .float64 : .float32))
      #expect(try written.values(name) == (0..<count).map { Float($0) + Float(index) / 256 })
    }
  }
}
