import Tensors

/// A map times a gate that branches open, each branch a layer of its own on the same map (see `GateProduct`):
///
///     y = x∘(k + σ(Σ_b a_b)),  a_b = branch_b(x)        x̄ = ȳ∘(k + s) + Σ_b branch_bᵀ(ā_b)        tangents likewise
///
/// x, y: n×h×w×c, x as it is read. Precision: the product's and the branches'. Collectives: those of the branches.
package final class Gated<E: Element>: Layer {
  private let branches: [any Layer<E>]
  fileprivate let offset: Double

  /// `offset`: k.
  package init(_ branches: [any Layer<E>], offset: Double = 0) {
    precondition(!branches.isEmpty)
    (self.branches, self.offset) = (branches, offset)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    GateProduct<E>.express(x, branches.map { $0.express(x, in: graph) }, offset: offset, in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    GatedPasses(x, try branches.map { try $0.forward(x, run) }, offset, run)
  }
}

private final class GatedPasses<E: Element>: Passes {
  let y: Feature<E>
  private let branches: [any Passes<E>], product: GateProduct<E>

  init(_ x: Feature<E>, _ branches: [any Passes<E>], _ offset: Double, _ run: Run<E>) {
    self.branches = branches
    product = GateProduct(x.value, branches.map { $0.y.value }, offset: offset, run)
    y = .plain(product.y)
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let dots = try branches.map { try $0.forwardTangent(xDot, adding: nil, run) }
    return .plain(product.forwardTangent(xDot, dots, adding: v, run))
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let (direct, bars) = product.backward(yBar.tensor, adding: addend, pass, run)
    var gradient: Gradient<E>?
    for (index, branch) in branches.enumerated() {
      let isLast = index == branches.count - 1
      gradient = try branch.backward(
        branch.y.target.finish(bars[index], run.context), adding: gradient?.tensor ?? direct,
        target: isLast ? target : .plain, pass, run)
    }
    return after("the branches", gradient)
  }

  var storedTangents: [Tensor<E>] { branches.flatMap { $0.storedTangents } + product.storedTangents }
}
