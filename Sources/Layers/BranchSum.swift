import Tensors

/// A map and what branches on it add:
///
///     y = x + Σ_b branch_b(x)        ẏ = ẋ + Σ_b ẏ_b        x̄ = ȳ + Σ_b branch_bᵀ(ȳ)
///
/// Stored: y, by a tangent pass ẏ; else what branches store.
///
/// x, y: n×h×w×c, x as it is read. Precision: each addition in the accumulator, stored. Collectives: those of the branches.
package final class BranchSum<E: Element>: Layer {
  private let branches: [any Layer<E>]

  package init(_ branches: [any Layer<E>]) {
    precondition(!branches.isEmpty)
    self.branches = branches
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    branches.reduce(x) { graph.sum($0, $1.express(x, in: graph)) }
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    BranchSumPasses(x, try branches.map { try $0.forward(x, run) }, run)
  }
}

private final class BranchSumPasses<E: Element>: Passes {
  let y: Feature<E>
  private let branches: [any Passes<E>]
  private var yDot: Tensor<E>?

  init(_ x: Feature<E>, _ branches: [any Passes<E>], _ run: Run<E>) {
    self.branches = branches
    y = .plain(Self.sum(x.value, branches.map { $0.y.value }, nil, run))
  }

  private static func sum(_ x: Operand<E>, _ parts: [Operand<E>], _ v: Tensor<E>?, _ run: Run<E>) -> Tensor<E> {
    parts.reduce(Addition.forward(x, v, run.context)) { Addition.forward($1, $0, run.context) }
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let sum = Self.sum(xDot, try branches.map { try $0.forwardTangent(xDot, adding: nil, run) }, v, run)
    yDot = sum
    return .plain(sum)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    var gradient = addend.map { Addition.forward(.plain(yBar.tensor), $0, run.context) } ?? yBar.tensor
    for branch in branches.dropLast() {
      gradient = try branch.backward(
        branch.y.target.finish(yBar.tensor, run.context), adding: gradient, target: .plain, pass, run
      ).tensor
    }
    let last = branches[branches.count - 1]
    return try last.backward(
      last.y.target.finish(yBar.tensor, run.context), adding: gradient, target: target, pass, run)
  }

  var storedTangents: [Tensor<E>] { branches.flatMap { $0.storedTangents } + [yDot].compactMap { $0 } }
}
