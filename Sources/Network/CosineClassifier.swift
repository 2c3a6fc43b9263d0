import Layers
import Tensors

/// logits = cosines of the embedding and the classes' weights, for losses with a margin:
///
///     c = ê·ŵ,  ê = e/‖e‖,  ŵ = w/‖w‖
///     ē = (g − ê(ê·g))/‖e‖ for the gradient g of ê
///
/// ê and its gradients are written once for float64 and dual numbers, which give the tangents. Weights are used at unit
/// length (`UnitFilters`).
///
/// Precision: rows in float64. Collectives: none.
package final class CosineClassifier<A: Element>: Classifier where A.Accumulator == A {
  private let convolution: Convolution<A>

  /// The tensor `<name>classifier.weight`.
  init(_ layout: inout ParameterLayout, _ name: String, inputs: Int, classes: Int) {
    convolution = Convolution(
      &layout, name + "classifier", inputs: inputs, outputs: classes, linear: true, transform: .unitLength)
  }

  package var map: any LinearMap<A> { convolution }

  package func classify(_ embedding: Tensor<A>, _ run: Run<A>) -> any ClassifierPasses<A> {
    let unit = UnitVectors.forward(embedding, run)
    return CosinePasses(
      embedding, run.row(convolution.name, { $0.y.shape }) { LinearPasses(convolution, .plain(unit), run) })
  }
}

private final class CosinePasses<A: Element>: ClassifierPasses where A.Accumulator == A {
  private let embedding: Tensor<A>, passes: LinearPasses<A>
  /// The gradient of ê, and ė.
  private var recorded: Tensor<A>?, dot: Tensor<A>?

  init(_ embedding: Tensor<A>, _ passes: LinearPasses<A>) { (self.embedding, self.passes) = (embedding, passes) }

  var logits: Tensor<A> { passes.y.value.tensor }

  func forwardTangent(_ embeddingDot: Tensor<A>, _ run: Run<A>) -> Tensor<A> {
    dot = embeddingDot
    // The Jacobian of ê is symmetric.
    let unitDot = UnitVectors.backward(at: embedding, embeddingDot, run)
    return passes.forwardTangent(.plain(unitDot), run).tensor
  }

  func backward(
    _ logitsBar: Tensor<A>, adding addend: Tensor<A>?, target: GradientTarget<A>, _ pass: BackwardPass, _ run: Run<A>
  ) -> Gradient<A> {
    let unitBar = passes.backward(Gradient(tensor: logitsBar, sums: .none), target: .plain, pass, run).tensor
    var bar = UnitVectors.backward(at: embedding, unitBar, run)
    if case .regularized(_, let weight) = pass, let recorded, let dot {
      let second = UnitVectors.backwardTangent(at: embedding, along: dot, recorded, weight: weight, run)
      bar = Addition.forward(.plain(bar), second, run.context)
    } else if pass.gradients == nil {
      recorded = unitBar
    }
    return target.finish(Operand.plain(bar).adding(addend, run.context).tensor, run.context)
  }
}
