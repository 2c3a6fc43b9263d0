import Collectives
import Foundation
import Kernels
import Layers
import Network
import Tensors
import Testing

/// The trunk and the neck of docs/extending.md.
@Suite struct GuideTests {
  private let context = Context<Double>(
    workers: Workers(count: 1), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))

  /// Five passes of a trunk: the loss ⟨r, c₄⟩ moves by the gradient along a direction of the parameters, and the ranges that
  /// the builder recorded are told complete from the end of the layout to its beginning.
  @Test func theTrunkIsDifferentiated() throws {
    var builder = NetworkBuilder<Double>(Architecture(width: 0.0625, identities: 2))
    let trunk = ResNet10.trunk(&builder), layout = builder.parameters
    let parameters = Parameters<Double>(layout: layout, statistics: builder.statistics)
    var random = CounterRandom(seed: 3, purpose: .probing)
    for slot in layout.slots {
      for i in slot.range { parameters.values[i] = slot.kind == .normScale ? 1 : 0.2 * random.normal() }
    }
    let images = context.tensor(Shape(2, 64, 32, 3))
    images.fill((0..<images.shape.count).map { _ in random.normal() })
    let run = Run(context, parameters, .training(seed: 1, step: 1, firstRow: 0))
    let outputs = try forward(trunk, builder, images, run).outputs
    #expect(outputs.map(\.shape) == [Shape(2, 16, 8, 4), Shape(2, 8, 4, 8), Shape(2, 4, 2, 16), Shape(2, 2, 1, 32)])
    let weights = (0..<outputs[3].shape.count).map { _ in random.normal() }

    let gradients = ParameterGradients(count: layout.count)
    gradients.reset(scale: 1, Double.self)
    let passes = try forward(trunk, builder, images, run)
    let bar = context.tensor(outputs[3].shape)
    bar.fill(weights)
    try passes.backward(passes.outputs[3].target.finish(bar, context), adding: [:], .plain(gradients), run)
    let direction = (0..<layout.count).map { _ in random.normal() }
    func loss(_ step: Double) throws -> Double {
      for i in direction.indices { parameters.values[i] += step * direction[i] }
      defer { for i in direction.indices { parameters.values[i] -= step * direction[i] } }
      let top = try forward(trunk, builder, images, run).outputs[3].value.tensor.array
      return zip(top, weights).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let h = 1e-7, difference = try (loss(h) - loss(-h)) / (2 * h)
    let analytic = zip(gradients.values.array, direction).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(difference - analytic) < 1e-5 * max(1, abs(analytic)))
  }

  private func forward(
    _ trunk: Trunk<Double>, _ builder: NetworkBuilder<Double>, _ images: Tensor<Double>, _ run: Run<Double>
  ) throws -> TrunkPasses<Double> {
    for (map, readsImages) in builder.maps { map.pack(run.parameters.values, backward: !readsImages, context) }
    return try trunk.forward(images, run)
  }

  /// logits = W·f + b of the feature f, whose gradient is that of the embedding and Wᵀ of that of the logits.
  @Test func theNeckPassesTheFeatureOn() throws {
    var layout = ParameterLayout()
    let neck = PlainNeck<Double>(features: 3)
    let classifier = LinearClassifier<Double>(&layout, "", inputs: neck.classifiedLength, classes: 2, bias: true)
    let parameters = Parameters<Double>(layout: layout, statistics: ParameterLayout())
    // W by [input][class], and b.
    for (slot, values) in zip(layout.slots, [[1.0, 4, 2, 5, 3, 6], [0.5, -0.5]]) {
      for (i, value) in zip(slot.range, values) { parameters.values[i] = value }
    }
    classifier.map.pack(parameters.values, backward: true, context)
    func matrix(_ rows: Int, _ values: [Double]) -> Tensor<Double> {
      let tensor = context.tensor(Shape(rows, 1, 1, values.count / rows))
      tensor.fill(values)
      return tensor
    }
    let run = Run(context, parameters, .training(seed: 1, step: 1, firstRow: 0)), feature = matrix(1, [1, 10, 100])
    let passes = neck.forward(feature, classifier, run), gradients = ParameterGradients(count: layout.count)
    #expect(passes.outputs.embedding.array == [1, 10, 100] && passes.outputs.descriptor.array == [1, 10, 100])
    #expect(passes.outputs.logits?.array == [321.5, 653.5])
    gradients.reset(scale: 1, Double.self)
    let bars = HeadValues(embedding: matrix(1, [7, 8, 9]), logits: matrix(1, [1, -1]))
    #expect(try passes.backward(bars, .plain(gradients), run).array == [7 - 3, 8 - 3, 9 - 3])
    #expect(layout.slots.map { $0.range.map { gradients.values[$0] } } == [[1, -1, 10, -10, 100, -100], [1, -1]])
    #expect(neck.forward(feature, classifier, Run(context, parameters, .evaluation)).outputs.logits == nil)
  }

  /// The code in the guide is the code that is compiled here.
  @Test(arguments: [
    "../LayersTests/ChannelScale.swift", "../LossesTests/Length.swift", "ResNet10.swift", "PlainNeck.swift",
  ]) func theGuideIsCompiled(_ file: String) throws {
    let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let guide = try String(contentsOf: here.appendingPathComponent("../../docs/extending.md"), encoding: .utf8)
    let code = try String(contentsOf: here.appendingPathComponent(file), encoding: .utf8)
    // Within the module that a part belongs to, it needs no import of it.
    let module = file.contains("LayersTests") ? "Layers" : file.contains("LossesTests") ? "Losses" : "Network"
    #expect(guide.contains(code.replacing("import \(module)\n", with: "")))
  }
}
