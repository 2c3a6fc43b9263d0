import Tensors

/// A unit whose output is written, because others read it: the last layer of a stage.
///
///     y = unit(x), stored;  ẏ = unit˙(ẋ) + v, stored;  the gradient of y is that of the unit's output
///
/// Precision: y is rounded once. Collectives: those of the unit's norm.
package final class StoredUnit<E: Element>: Layer {
  private let unit: NormalizedConvolution<E>

  package init(_ unit: NormalizedConvolution<E>) { self.unit = unit }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    unit.express(x, in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let unit = try unit.pass(x, run)
    return StoredUnitPasses(unit, y: Addition.forward(unit.y.value, nil, run.context))
  }
}

private final class StoredUnitPasses<E: Element>: Passes {
  let y: Feature<E>
  private let unit: UnitPasses<E>
  private var yDot: Tensor<E>?

  init(_ unit: UnitPasses<E>, y: Tensor<E>) { (self.unit, self.y) = (unit, Feature(.plain(y), unit.y.target)) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let stored = Addition.forward(try unit.forwardTangent(xDot, run), v, run.context)
    yDot = stored
    return .plain(stored)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    try unit.backward(yBar, adding: addend, target: target, pass, run)
  }

  var storedTangents: [Tensor<E>] { unit.storedTangents + [yDot].compactMap { $0 } }
}
