import Tensors

/// The Lite 3×3 of OSNet (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019, figure 3b): a
/// 1×1 convolution that nothing follows, then a depthwise 3×3 with batch norm and ReLU.
///
///     v = W∗x,  z = D∗v,  y = max(0, n(z))        y is pending, as that of a `NormalizedConvolution`
///
/// Stored: v and z, by a tangent pass v˙ and ż; by a recording backward pass v̄ and ȳ.
///
/// x, y: n×h×w×c. Collectives: those of the norm.
package final class LightConvolution<E: Element>: Layer {
  private let pointwise: any LinearMap<E>
  private let unit: NormalizedConvolution<E>

  package init(_ pointwise: any LinearMap<E>, _ unit: NormalizedConvolution<E>) {
    precondition(pointwise.geometry.outputs == unit.convolution.geometry.inputs)
    (self.pointwise, self.unit) = (pointwise, unit)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    unit.express(pointwise.express(x, in: graph), in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let linear = LinearPasses(pointwise, x, run)
    return LightPasses(linear, try unit.pass(linear.y, run))
  }
}

private final class LightPasses<E: Element>: Passes {
  private let linear: LinearPasses<E>, unit: UnitPasses<E>
  private var vDot: Tensor<E>?

  init(_ linear: LinearPasses<E>, _ unit: UnitPasses<E>) { (self.linear, self.unit) = (linear, unit) }

  var y: Feature<E> { unit.y }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let stored = linear.forwardTangent(xDot, run)
    vDot = stored.tensor
    return try unit.forwardTangent(stored, adding: v, run)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let vBar = try unit.backward(yBar, target: linear.y.target, pass, run)
    return linear.backward(vBar, adding: addend, target: target, pass, run)
  }

  var storedTangents: [Tensor<E>] { [vDot].compactMap { $0 } + unit.storedTangents }
}
