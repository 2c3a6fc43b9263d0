import Layers
import Tensors

/// BNNeck (Luo et al., "Bag of Tricks and a Strong Baseline", 2019): metric losses see the feature f itself, the classifier
/// and retrieval its batch norm.
///
///     embedding = f,  descriptor = n(f),  logits = classifier(n(f))
///
/// The shift of the norm is left out unless asked for, as there: the boundaries then go through the origin.
///
/// feature: n×1×1×F. Collectives: those of the batch norm.
package final class BNNeck<A: Element>: Neck where A.Accumulator == A {
  private let norm: Norm<A>

  /// Tensors `<name>neck.bn.*`.
  init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, features: Int, shift: Bool
  ) {
    norm = Norm(&layout, &statistics, name + "neck.bn", channels: features, hasShift: shift)
  }

  package var maps: [any LinearMap<A>] { [] }
  package var classifiedLength: Int { norm.channels }
  package var embeddingLength: Int { norm.channels }
  package var descriptorLength: Int { norm.channels }

  package func express(_ feature: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    norm.express(feature, in: graph)
  }

  package func forward(_ feature: Tensor<A>, _ classifier: any Classifier<A>, _ run: Run<A>) throws -> any NeckPasses<A>
  {
    let normalized = try run.row(norm.name, { _ in feature.shape }) { try FeatureNorm(norm, feature, run) }
    let descriptor = normalized.y.value.materialized(run.context)
    return BNNeckPasses(
      feature, normalized, descriptor, run.isTraining ? classifier.classify(descriptor, run) : nil)
  }
}

private final class BNNeckPasses<A: Element>: NeckPasses where A.Accumulator == A {
  let outputs: HeadOutputs<A>
  private let normalized: FeatureNorm<A>, classifier: (any ClassifierPasses<A>)?

  init(
    _ feature: Tensor<A>, _ normalized: FeatureNorm<A>, _ descriptor: Tensor<A>,
    _ classifier: (any ClassifierPasses<A>)?
  ) {
    (self.normalized, self.classifier) = (normalized, classifier)
    outputs = HeadOutputs(embedding: feature, descriptor: descriptor, logits: classifier?.logits)
  }

  private var logits: any ClassifierPasses<A> { after("a training forward pass", classifier) }

  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) throws -> HeadValues<A> {
    let descriptorDot = try normalized.forwardTangent(featureDot, run).materialized(run.context)
    return HeadValues(embedding: featureDot, logits: logits.forwardTangent(descriptorDot, run))
  }

  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Tensor<A> {
    let descriptorBar = logits.backward(bars.logits, adding: nil, target: normalized.y.target, pass, run)
    return Addition.forward(try normalized.backward(descriptorBar, pass, run), bars.embedding, run.context)
  }
}

/// What it can be told.
package struct BNNeckOptions: Options {
  package var shift = false

  package init() {}

  package static var fields: [OptionField<Self>] {
    [.flag("shift", \.shift, "Whether the norm has a trained shift.")]
  }
}
