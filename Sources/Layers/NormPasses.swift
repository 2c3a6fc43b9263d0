import Tensors

/// What stands behind a convolution and makes its output comparable: a norm, or a mere bias.
package protocol Normalization<E>: AnyObject {
  associatedtype E: Element
  var channels: Int { get }
  /// Which sums the forward pass wants of what writes x.
  func forwardSums(training: Bool) -> Epilogue<E>.ForwardSums
  /// Of x of this shape, from this rank's sums.
  func passes(_ sums: Sums, _ shape: Shape, _ run: Run<E>) throws -> any NormPasses<E>
  /// With running statistics, as operators of `graph`.
  func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

extension Norm: Normalization {
  package func passes(_ sums: Sums, _ shape: Shape, _ run: Run<E>) throws -> any NormPasses<E> {
    SingleNormPasses(self, try normalize(sums, shape, run))
  }
}

/// What follows a norm's forward pass: sums in, coefficients out (see `Norm`). No tensor is touched; z is the input that
/// another layer stores, and y is read from it.
package protocol NormPasses<E>: AnyObject {
  associatedtype E: Element
  /// y = scale·z + shift.
  var state: NormState<E.Accumulator> { get }
  /// ẏ = a ż + b z + c from Σż, Σż(z − mean), Σżȳ. After a recording backward pass.
  func forwardTangent(_ sums: Sums, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator>
  /// z̄ = a ȳ + b z + c from Σȳ, Σȳ(z − mean). Gradients of parameters are added up, unless the pass only records.
  func backward(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator>
  /// z̄ + λz̄˙ = a h + b z + c + d ȳ + e ż from Σh, Σh(z − mean). After a tangent pass; `pass` is regularized.
  func backwardTangent(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> RegularizedNormCoefficients<
    E.Accumulator
  >
}

/// Of a norm by itself.
final class SingleNormPasses<E: Element>: NormPasses {
  let state: NormState<E.Accumulator>
  private let norm: Norm<E>
  private var recorded: NormBackward<E.Accumulator>?
  private var tangent: NormTangent<E.Accumulator>?

  init(_ norm: Norm<E>, _ state: NormState<E.Accumulator>) { (self.norm, self.state) = (norm, state) }

  func forwardTangent(_ sums: Sums, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    let tangent = try norm.forwardTangent(state, sums, run)
    self.tangent = tangent
    return tangent.coefficients
  }

  func backward(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    let backward = try norm.backward(state, sums, into: pass.gradients, run)
    if pass.gradients == nil { recorded = backward }
    return backward.coefficients
  }

  func backwardTangent(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> RegularizedNormCoefficients<
    E.Accumulator
  > {
    guard let gradients = pass.gradients else { preconditionFailure("a recording pass has no tangents") }
    return try norm.backwardTangent(
      state, after("a recording backward pass", recorded), after("a tangent pass", tangent), weight: pass.tangentWeight,
      sums, into: gradients, run)
  }
}
