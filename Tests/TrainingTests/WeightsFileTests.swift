import Foundation
import Network
import Storage
import Tensors
import TestSupport
import Testing
import Training

@Suite struct WeightsFileTests {
  private func file(_ folder: TemporaryFolder, _ tensors: [SafetensorsTensor]) throws -> SafetensorsFile {
    let path = try folder.file("w.safetensors")
    try SafetensorsWriter.write(tensors, to: path)
    return try SafetensorsFile(path: path)
  }

  private func roundTrip<E: Element>(_: E.Type, as type: SafetensorsType) throws {
    let folder = try TemporaryFolder(), path = try folder.file("w.safetensors")
    let first = try TinyTraining(E.self), second = try TinyTraining(E.self, seed: 2)
    _ = try first.run(0)  // so that running statistics are not those of every fresh network
    try WeightsFile.write(first.step.network, first.step.parameters, to: path)
    let file = try SafetensorsFile(path: path)
    #expect(try file.dtype("conv1.weight") == type && file.shape("layer1.0.conv2.weight") == [4, 4, 3, 3])
    try WeightsFile.loadAll(file, into: second.step.network, second.step.parameters)
    #expect(Array(second.step.parameters.values.span) == Array(first.step.parameters.values.span))
    #expect(Array(second.step.parameters.statistics.span) == Array(first.step.parameters.statistics.span))
  }

  @Test func whatIsWrittenReadsBack() throws {
    try roundTrip(Float16.self, as: .float32)
    try roundTrip(Float.self, as: .float32)
    try roundTrip(Double.self, as: .float64)
  }

  @Test func numbersThatNoTrainingHasMadeAreNamed() throws {
    let folder = try TemporaryFolder(), training = try TinyTraining(Float.self), network = training.step.network
    for (name, values, reason) in [
      ("bn1.running_var", [1, -1, 1, 1], "holds -1.0, expected none below zero"),
      ("bn1.running_mean", [1, .nan, 1, 1], "holds an infinity or a NaN"),
      ("bn1.weight", [1, 1, 1, -.infinity], "holds an infinity or a NaN"),
    ] as [(String, [Float], String)] {
      let file = try file(folder, [SafetensorsTensor(name, shape: [4]) { values }])
      let text = message(.data) { _ = try WeightsFile.load(file, into: network, training.step.parameters) }
      #expect(text == "\(file.path): tensor \(name) \(reason)")
    }
  }

  /// OIHW in files; in memory the output channel is innermost.
  @Test func valuesStandWhereTorchvisionHasThem() throws {
    let folder = try TemporaryFolder(), training = try TinyTraining(Float.self)
    let slot = try #require(training.step.network.layout["conv1.weight"])
    #expect(slot.shape == [4, 3, 7, 7])
    let values = (0..<slot.count).map { Float($0) }
    let file = try file(folder, [SafetensorsTensor("conv1.weight", shape: slot.shape) { values }])
    _ = try WeightsFile.load(file, into: training.step.network, training.step.parameters)
    for (output, input, row, column) in [(0, 0, 0, 0), (3, 2, 6, 6), (1, 2, 3, 4), (2, 0, 5, 1)] {
      let memory = slot.range.lowerBound + ((row * 7 + column) * 3 + input) * 4 + output
      #expect(training.step.parameters.values[memory] == Float(((output * 3 + input) * 7 + row) * 7 + column))
    }
  }

  /// Names as other tools wrap them are those of torchvision; its own name comes first.
  @Test func whatWrapsANameIsTakenOff() throws {
    let folder = try TemporaryFolder(), training = try TinyTraining(Float.self), network = training.step.network
    func tensor(_ name: String, _ value: Float) -> SafetensorsTensor {
      SafetensorsTensor(name, shape: [4]) { [Float](repeating: value, count: 4) }
    }
    let file = try file(
      folder,
      [
        tensor("module.backbone.bn1.weight", 2), tensor("base.bn1.bias", 3), tensor("model.bn1.running_mean", 4),
        tensor("module.bn1.running_var", 5), tensor("bn1.running_var", 6), tensor("backboned.bn1.weight", 7),
      ])
    let report = try WeightsFile.load(file, into: network, training.step.parameters)
    #expect(report.loaded == ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"])
    #expect(report.unused == ["backboned.bn1.weight"])
    let slot = try #require(network.layout["bn1.weight"]),
      variance = try #require(network.statistics["bn1.running_var"])
    #expect(slot.range.allSatisfy { training.step.parameters.values[$0] == 2 })
    #expect(variance.range.allSatisfy { training.step.parameters.statistics[$0] == 6 })
  }

  /// Every tensor of the trunk has to have come, but those that are named.
  @Test func aTrunkIsLoadedWholeOrNotAtAll() throws {
    let folder = try TemporaryFolder(), path = try folder.file("w.safetensors")
    let plain = try TinyTraining(Float.self), gated = try TinyTraining(Float.self, "model.attention=se")
    try WeightsFile.write(plain.step.network, plain.step.parameters, to: path)
    let network = gated.step.network
    let report = try WeightsFile.load(try SafetensorsFile(path: path), into: network, gated.step.parameters)
    func refusal(_ allowed: String...) -> String? {
      message(.data) { try report.requireTrunk(of: network, allowed: allowed, path) }
    }
    #expect(refusal("se") == nil)
    #expect(refusal()?.hasPrefix("\(path): has no tensor layer1.0.se.fc.0.weight (and 63 more of the trunk); ") == true)
    #expect(refusal("s", "fc.0", "layer1.0.se")?.contains("layer1.0.se.fc.0") == false)
    #expect(refusal("layer1", "layer2", "layer3")?.contains("no tensor layer4.0.se.fc.0.weight (and 11 more") == true)
    // The head's own may be missing.
    let other = try TinyTraining(Float.self, "model.head=baseline")
    let half = try WeightsFile.load(try SafetensorsFile(path: path), into: other.step.network, other.step.parameters)
    #expect(message(.data) { try half.requireTrunk(of: other.step.network, allowed: [], path) } == nil)
    let wide = try TinyTraining(Float.self, "model.width=0.125")
    let none = try WeightsFile.load(try SafetensorsFile(path: path), into: wide.step.network, wide.step.parameters)
    #expect(
      message(.data) { try none.requireTrunk(of: wide.step.network, allowed: [], path) }?.contains(
        "tensor conv1.weight has shape [4, 3, 7, 7], this network needs [8, 3, 7, 7]") == true)
  }

  @Test func theReportSaysWhatFitted() throws {
    let folder = try TemporaryFolder(), training = try TinyTraining(Float.self), network = training.step.network
    let before = Array(training.step.parameters.values.span)
    let file = try file(
      folder,
      [
        SafetensorsTensor("conv1.weight", shape: [4, 3, 7, 7]) { [Float](repeating: 0.5, count: 588) },
        SafetensorsTensor("bn1.running_var", shape: [4]) { [2, 3, 4, 5] },
        SafetensorsTensor("classifier.weight", shape: [5, 16]) { [Float](repeating: 1, count: 80) },
        // A linear layer published as a convolution.
        SafetensorsTensor("neck.fc.bias", shape: [16, 1, 1]) { [Float](repeating: 7, count: 16) },
        SafetensorsTensor("bn1.num_batches_tracked", shape: [1]) { [9] },
        SafetensorsTensor("fc.weight", shape: [1]) { [9] },
      ])
    let report = try WeightsFile.load(file, into: network, training.step.parameters)
    #expect(report.loaded == ["conv1.weight", "neck.fc.bias", "bn1.running_var"])
    #expect(report.unused == ["fc.weight"])
    #expect(report.mismatched.map(\.name) == ["classifier.weight"])
    #expect(report.mismatched[0].file == [5, 16] && report.mismatched[0].network == [3, 16])
    #expect(report.missing.count == network.layout.slots.count + network.statistics.slots.count - 4)
    for slot in network.layout.slots {
      let now = slot.range.map { training.step.parameters.values[$0] }
      switch slot.name {
      case "conv1.weight": #expect(now.allSatisfy { $0 == 0.5 })
      case "neck.fc.bias": #expect(now.allSatisfy { $0 == 7 })
      default: #expect(now == Array(before[slot.range]), "\(slot.name)")
      }
    }
  }

  @Test func loadingAllNamesWhatIsWrong() throws {
    let folder = try TemporaryFolder(), path = try folder.file("w.safetensors"), training = try TinyTraining(Float.self)
    try WeightsFile.write(training.step.network, training.step.parameters, to: path)
    func refusal(_ settings: String) throws -> String? {
      let other = try TinyTraining(Float.self, settings)
      return message(.data) {
        try WeightsFile.loadAll(try SafetensorsFile(path: path), into: other.step.network, other.step.parameters)
      }
    }
    #expect(
      try refusal("model.width=0.125")
        == "\(path): tensor conv1.weight has shape [4, 3, 7, 7], this network needs [8, 3, 7, 7]")
    #expect(try refusal("model.sharedPyramid=false")?.hasPrefix("\(path): tensor ") == true)
    let unused = "\(path): tensor fusion.conv1.weight is not of this network"
    #expect(try refusal("model.fusion=false")?.hasPrefix(unused) == true)
    #expect(try refusal("optimizer.learningRate=1") == nil)
  }
}
