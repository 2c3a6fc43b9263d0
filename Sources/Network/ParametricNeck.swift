import Layers
import Tensors

/// A neck that ends in a rectifier with a trained slope (PReLU; He et al., "Delving Deep into Rectifiers", 2015), as before
/// AM-Softmax (Sovrasov and Sidnev, ICPR 2020), in accumulator precision throughout:
///
///     h = n(W·f + b),  embedding = [h > 0]·h + [h ≤ 0]·a·h,  logits = classifier(embedding)
///
/// With s = [h > 0] + [h ≤ 0]·a for each element:
///
///     h̄ = s·ȳ                ā += Σ[h ≤ 0]·h·ȳ             over rows and elements
///     ẏ = s·ḣ                                              a does not move in a tangent
///     ā + λā˙ += Σ[h ≤ 0]·((ȳ + λȳ˙)·h + λȳ·ḣ)
///
/// so what the second pass carries down is s·(ȳ + λȳ˙) (see `BackwardPass`). Metric losses see the embedding, and it is what is
/// retrieved by.
///
/// feature: n×1×1×F, embedding: n×1×1×E. Precision: ā is summed over a row in float64, over rows on the grid of
/// `ParameterGradients`. Collectives: those of the batch norm.
package final class ParametricNeck<A: Element>: Neck where A.Accumulator == A {
  private let fc: Convolution<A>, norm: Norm<A>
  fileprivate let slope: ParameterLayout.Slot

  /// Tensors `<name>neck.fc.*`, `<name>neck.bn.*`, `<name>neck.prelu.weight`.
  init(
    _ layout: inout ParameterLayout, _ statistics: inout ParameterLayout, _ name: String, features: Int, embedding: Int
  ) {
    fc = Convolution(&layout, name + "neck.fc", inputs: features, outputs: embedding, bias: true, linear: true)
    norm = Norm(&layout, &statistics, name + "neck.bn", channels: embedding)
    slope = layout.add(name + "neck.prelu.weight", .slope, shape: [1])
  }

  package var maps: [any LinearMap<A>] { [fc] }
  package var classifiedLength: Int { norm.channels }
  package var embeddingLength: Int { norm.channels }
  package var descriptorLength: Int { norm.channels }

  package func express(_ feature: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let h = norm.express(fc.express(feature, in: graph), in: graph)
    return graph.add("PRelu", [h.name, graph.parameter(slope)], extent: h.extent)
  }

  package func forward(_ feature: Tensor<A>, _ classifier: any Classifier<A>, _ run: Run<A>) throws -> any NeckPasses<A>
  {
    let hidden = run.row(fc.name, { $0.y.shape }) { LinearPasses(fc, .plain(feature), run) }
    let normalized = try run.row(norm.name, { _ in hidden.y.shape }) {
      run.note([slope])
      return try FeatureNorm(norm, hidden.y.value.tensor, run)
    }
    return ParametricPasses(slope, hidden, normalized, run) { run.isTraining ? classifier.classify($0, run) : nil }
  }
}

private final class ParametricPasses<A: Element>: NeckPasses where A.Accumulator == A {
  let outputs: HeadOutputs<A>
  private let hidden: LinearPasses<A>, normalized: FeatureNorm<A>, classifier: (any ClassifierPasses<A>)?
  private let slot: ParameterLayout.Slot, slope: A
  private let h: Tensor<A>
  private var recorded: Tensor<A>?
  private var hDot: Tensor<A>?

  init(
    _ slot: ParameterLayout.Slot, _ hidden: LinearPasses<A>, _ normalized: FeatureNorm<A>, _ run: Run<A>,
    _ classify: (_ embedding: Tensor<A>) -> (any ClassifierPasses<A>)?
  ) {
    (self.slot, slope) = (slot, run.parameters.values[slot.range.lowerBound])
    (self.hidden, self.normalized) = (hidden, normalized)
    h = normalized.y.value.materialized(run.context)
    let embedding = Self.rectified(h, by: h, slope, run.context)
    classifier = classify(embedding)
    outputs = HeadOutputs(embedding: embedding, descriptor: embedding, logits: classifier?.logits)
  }

  /// s·x.
  private static func rectified(_ x: Tensor<A>, by h: Tensor<A>, _ slope: A, _ context: Context<A>) -> Tensor<A> {
    let y = context.tensor(x.shape)
    if context.workers.isRehearsal { return y }
    for i in 0..<x.shape.count { y.pointer[i] = h.pointer[i] > 0 ? x.pointer[i] : slope * x.pointer[i] }
    return y
  }

  private var logits: any ClassifierPasses<A> { after("a training forward pass", classifier) }

  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) throws -> HeadValues<A> {
    let hiddenDot = hidden.tangent(.plain(featureDot), adding: nil, target: .plain, run)
    let hDot = try normalized.forwardTangent(hiddenDot, run).materialized(run.context)
    self.hDot = hDot
    let embedding = Self.rectified(hDot, by: h, slope, run.context)
    return HeadValues(embedding: embedding, logits: logits.forwardTangent(embedding, run))
  }

  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Tensor<A> {
    let bar = logits.backward(bars.logits, adding: bars.embedding, target: .plain, pass, run).tensor
    if let gradients = pass.gradients {
      if !run.context.workers.isRehearsal { addSlope(bar, to: gradients, pass.tangentWeight) }
    } else {
      recorded = bar
    }
    let raw = Self.rectified(bar, by: h, slope, run.context)
    let hiddenBar = try normalized.backward(normalized.y.target.finish(raw, run.context), pass, run)
    let plain = Gradient(tensor: hiddenBar.materialized(run.context), sums: .none)
    return hidden.backward(plain, target: .plain, pass, run).tensor
  }

  private func addSlope(_ bar: Tensor<A>, to gradients: ParameterGradients, _ tangentWeight: Double) {
    let length = h.shape.channels
    for row in 0..<h.shape.images {
      var sum = 0.0
      for i in row * length..<(row + 1) * length where !(h.pointer[i] > 0) {
        sum += Double(bar.pointer[i]) * Double(h.pointer[i])
        if let recorded, let hDot { sum += tangentWeight * Double(recorded.pointer[i]) * Double(hDot.pointer[i]) }
      }
      gradients.add(sum, at: slot.range.lowerBound)
    }
  }
}
