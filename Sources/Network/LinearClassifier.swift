import Layers
import Tensors

/// logits = W·embedding (+ b).
package final class LinearClassifier<A: Element>: Classifier where A.Accumulator == A {
  private let convolution: Convolution<A>

  /// Tensors `<name>classifier.*`.
  package init(_ layout: inout ParameterLayout, _ name: String, inputs: Int, classes: Int, bias: Bool) {
    convolution = Convolution(
      &layout, name + "classifier", inputs: inputs, outputs: classes, bias: bias, linear: true)
  }

  package var map: any LinearMap<A> { convolution }

  package func classify(_ embedding: Tensor<A>, _ run: Run<A>) -> any ClassifierPasses<A> {
    LinearClassifierPasses(
      run.row(convolution.name, { $0.y.shape }) { LinearPasses(convolution, .plain(embedding), run) })
  }
}

private final class LinearClassifierPasses<A: Element>: ClassifierPasses where A.Accumulator == A {
  private let passes: LinearPasses<A>

  init(_ passes: LinearPasses<A>) { self.passes = passes }

  var logits: Tensor<A> { passes.y.value.tensor }

  func forwardTangent(_ embeddingDot: Tensor<A>, _ run: Run<A>) -> Tensor<A> {
    passes.forwardTangent(.plain(embeddingDot), run).tensor
  }

  func backward(
    _ logitsBar: Tensor<A>, adding addend: Tensor<A>?, target: GradientTarget<A>, _ pass: BackwardPass, _ run: Run<A>
  ) -> Gradient<A> {
    passes.backward(Gradient(tensor: logitsBar, sums: .none), adding: addend, target: target, pass, run)
  }
}

/// What it can be told.
package struct LinearOptions: Options {
  package var bias = true

  package init() {}

  package static var fields: [OptionField<Self>] { [.flag("bias", \.bias, "Whether it has a bias.")] }
}
