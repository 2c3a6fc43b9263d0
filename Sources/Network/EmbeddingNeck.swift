import Kernels
import Layers
import Tensors

/// The paper's neck, from a pooled feature to the embedding and the logits, in accumulator precision throughout:
///
///     h = W·n(feature) + b,  embedding = max(0, h),  logits = classifier(embedding)
///
/// The maps are linear, so the tangents follow these lines without the biases, and the second backward pass those of the
/// first; weight gradients get their second terms. Metric losses see the embedding, and it is what is retrieved by.
///
/// feature: n×1×1×F, embedding: n×1×1×E. Collectives: those of the batch norm.
package final class EmbeddingNeck<A: Element>: Neck where A.Accumulator == A {
  private let norm: Norm<A>
  private let fc: Convolution<A>

  /// Tensors `<name>neck.bn.*`, `<name>neck.fc.*`.
  init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, features: Int, embedding: Int
  ) {
    norm = Norm(&layout, &statistics, name + "neck.bn", channels: features)
    fc = Convolution(&layout, name + "neck.fc", inputs: features, outputs: embedding, bias: true, linear: true)
  }

  package var maps: [any LinearMap<A>] { [fc] }
  package var classifiedLength: Int { fc.geometry.outputs }
  package var embeddingLength: Int { fc.geometry.outputs }
  package var descriptorLength: Int { fc.geometry.outputs }

  package func express(_ feature: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.rectified(fc.express(norm.express(feature, in: graph), in: graph))
  }

  package func forward(_ feature: Tensor<A>, _ classifier: any Classifier<A>, _ run: Run<A>) throws -> any NeckPasses<A>
  {
    let normalized = try run.row(norm.name, { _ in feature.shape }) { try FeatureNorm(norm, feature, run) }
    let hidden = run.row(fc.name, { $0.y.shape }) { LinearPasses(fc, normalized.y, run) }
    let embedding = hidden.y.value.tensor
    if !run.context.workers.isRehearsal {
      for i in 0..<embedding.shape.count where embedding.pointer[i] < 0 { embedding.pointer[i] = 0 }
    }
    return EmbeddingPasses(normalized, hidden, run.isTraining ? classifier.classify(embedding, run) : nil)
  }
}

private final class EmbeddingPasses<A: Element>: NeckPasses where A.Accumulator == A {
  let outputs: HeadOutputs<A>
  private let feature: FeatureNorm<A>
  private let hidden: LinearPasses<A>, classifier: (any ClassifierPasses<A>)?

  init(_ feature: FeatureNorm<A>, _ hidden: LinearPasses<A>, _ classifier: (any ClassifierPasses<A>)?) {
    (self.feature, self.hidden, self.classifier) = (feature, hidden, classifier)
    let embedding = hidden.y.value.tensor
    outputs = HeadOutputs(embedding: embedding, descriptor: embedding, logits: classifier?.logits)
  }

  /// Where h is positive.
  private var gate: GradientTarget<A> { GradientTarget(gate: .positive(outputs.embedding), norms: []) }
  private var logits: any ClassifierPasses<A> { after("a training forward pass", classifier) }

  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) throws -> HeadValues<A> {
    let normalized = try feature.forwardTangent(featureDot, run)
    let embedding = hidden.tangent(normalized, adding: nil, target: gate, run)
    return HeadValues(embedding: embedding, logits: logits.forwardTangent(embedding, run))
  }

  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Tensor<A> {
    let hiddenBar = logits.backward(bars.logits, adding: bars.embedding, target: gate, pass, run)
    let normalizedBar = hidden.backward(hiddenBar, target: feature.y.target, pass, run)
    return try feature.backward(normalizedBar, pass, run).materialized(run.context)
  }
}

/// What it can be told.
package struct EmbeddingOptions: Options {
  /// 0: `model.embedding`.
  package var length = 0

  package init() {}

  func length(or usual: Int) -> Int { length > 0 ? length : usual }

  package static var fields: [OptionField<Self>] {
    [.integer("length", \.length, 0...16384, "Length of the embedding; 0 is `model.embedding`.")]
  }
}
