import Layers
import Tensors

/// A norm of a pooled feature x (n×1×1×F), whose sums no GEMM took: n(x), pending, and the passes that follow.
///
/// Collectives: those of the norm.
final class FeatureNorm<A: Element> where A.Accumulator == A {
  let normalized: GradientTarget<A>.Normalized
  private let norm: Norm<A>
  private var recorded: (yBar: Tensor<A>, norm: Norm<A>.Backward)?
  private var tangent: (x: Tensor<A>, norm: Norm<A>.Tangent)?

  init(_ norm: Norm<A>, _ x: Tensor<A>, _ run: Run<A>) throws {
    self.norm = norm
    let sums = run.isTraining ? RowSums.forward(x, run.context) : .none
    normalized = .init(x, try norm.normalize(sums, x.shape, run))
  }

  private var x: Tensor<A> { normalized.z }

  var y: Feature<A> {
    Feature(.normalized(x, normalized.state), GradientTarget(gate: .open, norms: [normalized]))
  }

  /// ẏ, pending. After a recording backward pass.
  func forwardTangent(_ xDot: Tensor<A>, _ run: Run<A>) throws -> Operand<A> {
    let recorded = after("a recording backward pass", recorded)
    let sums = RowSums.tangent(xDot, of: normalized, recorded.yBar, run.context)
    let tangent = try norm.forwardTangent(normalized.state, sums, run)
    self.tangent = (xDot, tangent)
    return .gradient(xDot, through: x, tangent.coefficients)
  }

  /// From the gradient of y, finished by `y.target`, to that of x, pending.
  func backward(_ yBar: Gradient<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Operand<A> {
    if case .regularized(let gradients, let weight) = pass, let recorded, let tangent {
      let coefficients = try norm.backwardTangent(
        normalized.state, recorded.norm, tangent.norm, weight: weight, yBar.sums, into: gradients, run)
      return .regularizedGradient(yBar.tensor, through: x, recorded.yBar, tangent.x, coefficients)
    }
    let backward = try norm.backward(normalized.state, yBar.sums, into: pass.gradients, run)
    if pass.gradients == nil { recorded = (yBar.tensor, backward) }
    return .gradient(yBar.tensor, through: x, backward.coefficients)
  }
}
