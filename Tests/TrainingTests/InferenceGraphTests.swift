import Collectives
import Layers
import Network
import Tensors
import Testing

import Training

/// What a network says of itself as a graph of ONNX's operators is what it computes: every part, in float64.
@Suite struct InferenceGraphTests {
  private typealias Array = GraphInterpreter.Array

  /// Sizes at which maps have odd sides, and levels are no multiples of one another, among them.
  private static let sizes = [(64, 32), (72, 40)]

  @Test(
    arguments: PartsTests.cases + PartsTests.detached + [
      PartsTests.Case("model.maxPool=ceil"), PartsTests.Case("model.topDown=false"),
      PartsTests.Case("model.lateral=false"),
      PartsTests.Case("model.fusion=false", "model.lastStride=1"),
      PartsTests.Case(
        "model.trunk=resnet18", "model.head=baseline", "model.heads=[{neck: {bnneck: {shift: true}}, pool: max}]"),
    ])
  func isTheNetwork(_ one: PartsTests.Case) throws {
    let training = try TinyTraining(Double.self, one.settings, SoloCommunicator())
    let network = training.step.network, parameters = training.step.parameters
    var random = CounterRandom(seed: 7, purpose: .probing)
    for slot in network.layout.slots where slot.kind != .convolution && slot.kind != .linear {
      for i in slot.range { parameters.values[i] += 0.1 * random.normal() }
    }
    for slot in network.statistics.slots {
      for i in slot.range {
        parameters.statistics[i] = slot.name.hasSuffix("var") ? 0.5 + random.uniform() : 0.1 * random.normal()
      }
    }
    network.pack(parameters, training: false, training.context)
    for (height, width) in Self.sizes {
      let images = training.context.tensor(Shape(2, height, width, 3))
      images.fill((0..<images.shape.count).map { _ in random.normal() })
      let expected = try network.embed(images, parameters, training.context)

      let graph = InferenceGraph(parameters, height: height, width: width)
      let output = network.express(graph.images, in: graph)
      let pixels = images.array
      let found = try GraphInterpreter.run(
        graph,
        images: Array([2, 3, height, width]) { at in pixels[((at[0] * height + at[2]) * width + at[3]) * 3 + at[1]] },
        output: output.name)
      #expect(output.extent == [network.descriptorLength] && found.shape == [2, network.descriptorLength])
      let largest = expected.array.reduce(0) { max($0, abs($1)) }
      #expect(largest > 0)
      for (a, b) in zip(found.values, expected.array) { #expect(abs(a - b) <= 1e-9 * largest) }
    }
  }

  /// Bytes, normalized in the graph, are what the loader hands over.
  @Test func normalizes() throws {
    let training = try TinyTraining(Double.self, "model.trunk=resnet18", "model.head=baseline")
    let bytes = training.pixels(1, images: 2), graph = InferenceGraph(training.step.parameters, height: 64, width: 32)
    let normalized = graph.normalized(graph.images)
    let found = try GraphInterpreter.run(
      graph, images: Array([2, 3, 64, 32]) { at in Double(bytes[((at[0] * 64 + at[2]) * 32 + at[3]) * 3 + at[1]]) },
      output: normalized.name)
    let expected = InputNormalization.forward(bytes, height: 64, width: 32, training.context).array
    found.forEachIndex { at in
      #expect(abs(found[at] - expected[((at[0] * 64 + at[2]) * 32 + at[3]) * 3 + at[1]]) < 1e-12)
    }
  }
}
