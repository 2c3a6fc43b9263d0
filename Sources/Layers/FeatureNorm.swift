import Tensors

/// A norm of a pooled feature x (n×1×1×F), whose sums no GEMM took: n(x), pending, and the passes that follow.
///
/// Collectives: those of the norm.
package final class FeatureNorm<A: Element> where A.Accumulator == A {
  private let x: Tensor<A>, norm: SingleNormPasses<A>
  private var recorded: Tensor<A>?
  private var tangent: Tensor<A>?

  package init(_ norm: Norm<A>, _ x: Tensor<A>, _ run: Run<A>) throws {
    let sums = run.isTraining ? RowSums.forward(x, run.context) : .none
    self.x = x
    self.norm = SingleNormPasses(norm, try norm.normalize(sums, x.shape, run))
  }

  private var normalized: GradientTarget<A>.Normalized { .init(x, norm.state) }

  package var y: Feature<A> {
    Feature(.normalized(x, norm.state), GradientTarget(gate: .open, norms: [normalized]))
  }

  /// ẏ, pending. After a recording backward pass.
  package func forwardTangent(_ xDot: Tensor<A>, _ run: Run<A>) throws -> Operand<A> {
    let yBar = after("a recording backward pass", recorded)
    let coefficients = try norm.forwardTangent(RowSums.tangent(xDot, of: normalized, yBar, run.context), run)
    tangent = xDot
    return .gradient(xDot, through: x, coefficients)
  }

  /// From the gradient of y, finished by `y.target`, to that of x, pending.
  package func backward(_ yBar: Gradient<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Operand<A> {
    if case .regularized = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(yBar.sums, pass, run)
      return .regularizedGradient(yBar.tensor, through: x, recorded, tangent, coefficients)
    }
    if pass.gradients == nil { recorded = yBar.tensor }
    return .gradient(yBar.tensor, through: x, try norm.backward(yBar.sums, pass, run))
  }
}
