import Kernels
import Layers
import Tensors

/// From a pooled feature to the embedding and the logits, in accumulator precision throughout:
///
///     h = W·n(feature) + b,  embedding = max(0, h),  logits = W_c·embedding + b_c
///
/// All other maps are linear, so the tangents follow these lines without the biases, and the second backward pass those of
/// the first; weight gradients get their second terms.
///
/// feature: n×1×1×F, embedding: n×1×1×E, logits: n×1×1×identities. Collectives: those of the batch norm.
package final class EmbeddingNeck<A: Element>: Neck where A.Accumulator == A {
  private let norm: Norm<A>
  private let fc: Convolution<A>, classifier: Convolution<A>

  /// Tensors `<name>neck.bn.*`, `<name>neck.fc.*`, `<name>classifier.*`.
  init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, features: Int, embedding: Int,
    identities: Int
  ) {
    norm = Norm(&layout, &statistics, name + "neck.bn", channels: features)
    fc = Convolution(&layout, name + "neck.fc", inputs: features, outputs: embedding, bias: true, linear: true)
    classifier = Convolution(
      &layout, name + "classifier", inputs: embedding, outputs: identities, bias: true, linear: true)
  }

  package var maps: [any LinearMap<A>] { [fc] }
  package var trainingMaps: [any LinearMap<A>] { [classifier] }

  package func forward(_ feature: Tensor<A>, _ run: Run<A>) throws -> any NeckPasses<A> {
    let context = run.context
    let sums = run.isTraining ? RowSums.forward(feature, context) : .none
    let state = try run.row("neck.bn", { _ in feature.shape }) { try norm.normalize(sums, feature.shape, run) }
    let hidden = run.row("neck.fc", { $0.y.shape }) { LinearPasses(fc, Feature(.normalized(feature, state)), run) }
    let embedding = hidden.y.value.tensor
    if !context.workers.isRehearsal {
      for i in 0..<embedding.shape.count where embedding.pointer[i] < 0 { embedding.pointer[i] = 0 }
    }
    guard run.isTraining else { return EmbeddingPasses(norm, .init(feature, state), hidden, nil) }
    let logits = run.row("classifier", { $0.y.shape }) { LinearPasses(classifier, .plain(embedding), run) }
    return EmbeddingPasses(norm, .init(feature, state), hidden, logits)
  }
}

private final class EmbeddingPasses<A: Element>: NeckPasses where A.Accumulator == A {
  let outputs: HeadOutputs<A>
  private let norm: Norm<A>, feature: GradientTarget<A>.Normalized
  private let hidden: LinearPasses<A>, classifier: LinearPasses<A>?
  /// After a recording backward pass: the gradient of n(feature).
  private var recorded: (normalizedBar: Tensor<A>, norm: Norm<A>.Backward)?
  private var tangent: (feature: Tensor<A>, norm: Norm<A>.Tangent)?

  init(
    _ norm: Norm<A>, _ feature: GradientTarget<A>.Normalized, _ hidden: LinearPasses<A>, _ classifier: LinearPasses<A>?
  ) {
    (self.norm, self.feature, self.hidden, self.classifier) = (norm, feature, hidden, classifier)
    let embedding = hidden.y.value.tensor
    outputs = HeadOutputs(embedding: embedding, descriptor: embedding, logits: classifier?.y.value.tensor)
  }

  /// Where h is positive.
  private var gate: GradientTarget<A> { GradientTarget(gate: .positive(outputs.embedding), norms: []) }
  private var logits: LinearPasses<A> { after("a training forward pass", classifier) }

  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) throws -> HeadValues<A> {
    let recorded = after("a recording backward pass", recorded)
    let sums = RowSums.tangent(featureDot, of: feature, recorded.normalizedBar, run.context)
    let tangent = try norm.forwardTangent(feature.state, sums, run)
    self.tangent = (featureDot, tangent)
    let embedding = hidden.tangent(
      .gradient(featureDot, through: feature.z, tangent.coefficients), adding: nil, target: gate, run)
    return HeadValues(embedding: embedding, logits: logits.forwardTangent(.plain(embedding), run).tensor)
  }

  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Tensor<A> {
    let hiddenBar = logits.backward(
      Gradient(tensor: bars.logits, sums: .none), adding: bars.embedding, target: gate, pass, run)
    let normalizedBar = hidden.backward(
      hiddenBar, target: GradientTarget(gate: .open, norms: [feature]), pass, run)
    if case .regularized(let gradients, let weight) = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(
        feature.state, recorded.norm, tangent.norm, weight: weight, normalizedBar.sums, into: gradients, run)
      return Operand.regularizedGradient(
        normalizedBar.tensor, through: feature.z, recorded.normalizedBar, tangent.feature, coefficients
      ).materialized(run.context)
    }
    let backward = try norm.backward(feature.state, normalizedBar.sums, into: pass.gradients, run)
    if pass.gradients == nil { recorded = (normalizedBar.tensor, backward) }
    return Operand.gradient(normalizedBar.tensor, through: feature.z, backward.coefficients).materialized(run.context)
  }
}
