import Tensors

/// Of a layer that does nothing: what drops or masks something, in evaluation.
final class IdentityPasses<E: Element>: Passes {
  let y: Feature<E>
  var storedTangents: [Tensor<E>] { [] }

  init(y: Feature<E>) { self.y = y }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    xDot.adding(v, run.context)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    target.finish(Operand.plain(yBar.tensor).adding(addend, run.context).tensor, run.context)
  }
}
