import Layers
import Network
import Tensors
import Testing

/// Logits in evaluation: the classifier of the first head, of what it reads in training too.
@Suite struct ClassifyTests {
  private static let heads: [[HeadOptions]] = {
    var bnneck = HeadOptions(), cosine = HeadOptions()
    (bnneck.name, bnneck.neck) = ("bn", NeckChoice(.bnneck))
    (cosine.name, cosine.classifier) = ("cos", ClassifierChoice(.cosine))
    cosine.losses = []
    return [[], [bnneck], [cosine], [cosine, bnneck]]
  }()

  /// What the classifier reads is the descriptor, in every neck.
  @Test(arguments: 0..<4) func readsTheDescriptor(_ index: Int) throws {
    let trial = Trial(architecture: Trial.small { $0.heads = Self.heads[index] })
    let network = ReIDNetwork<Double>(trial.architecture), context = trial.context(Double.self)
    let parameters = trial.parameters(network, context.workers)
    network.pack(parameters, training: true, context)
    let run = Run(context, parameters, .training(seed: 1, step: 1, firstRow: 0))
    let outputs = try network.forward(trial.images(0..<8, context), run).outputs
    for (head, output) in zip(network.heads, outputs) {
      #expect(head.classifier.classify(output.descriptor, run.accumulating).logits.array == output.logits!.array)
    }
  }

  /// W·descriptor + b with running statistics, by hand; batches change no bit, and embedding is what it was.
  @Test(arguments: 0..<4) func isTheClassifierOfTheDescriptor(_ index: Int) throws {
    let trial = Trial(architecture: Trial.small { $0.heads = Self.heads[index] })
    let network = ReIDNetwork<Double>(trial.architecture), context = trial.context(Double.self)
    let parameters = trial.parameters(network, context.workers)
    for (i, value) in try trial.step(Double.self, backward: false).statistics.enumerated() {
      parameters.statistics[i] = value
    }
    network.pack(parameters, training: false, context)
    let before = try network.embed(trial.images(0..<8, context), parameters, context).array
    network.packToClassify(parameters, context)
    #expect(try network.embed(trial.images(0..<8, context), parameters, context).array == before)
    let all = try network.classify(trial.images(0..<8, context), parameters, context)
    let parts = try [0..<3, 3..<8].flatMap {
      try network.classify(trial.images($0, context), parameters, context).array
    }
    #expect(all.array == parts && all.shape == Shape(8, 1, 1, 3))

    let run = Run(context, parameters, .evaluation)
    let output = try network.forward(trial.images(0..<8, context), run).outputs[0]
    #expect(output.logits == nil)
    let length = output.descriptor.shape.channels
    let slot = try #require(network.layout.slots.first { $0.name.hasSuffix("classifier.weight") })
    let weight = ParameterLayout.toFile(slot, parameters.values.pointer)
    let bias =
      network.layout[slot.name.replacing(".weight", with: ".bias")].map { $0.range.map { parameters.values[$0] } } ?? [
        0, 0, 0,
      ]
    let isCosine = network.heads[0].classifier is CosineClassifier<Double>
    for image in 0..<8 {
      let e = (0..<length).map { output.descriptor.pointer[image * length + $0] }
      for c in 0..<3 {
        let w = Array(weight[c * length..<(c + 1) * length])
        let z = isCosine ? dot(w, e) / norm(w) / norm(e) : dot(w, e) + bias[c]
        #expect(abs(z - all.pointer[image * 3 + c]) < 1e-10 * max(1, abs(z)))
      }
    }
  }
}
