import Tensors

/// Layers one after the other, as one: y = lₖ(… l₁(x)).
///
/// Nothing is computed or stored but by the layers themselves. Collectives: theirs.
package final class Sequential<E: Element>: Layer {
  private let layers: [any Layer<E>]

  package init(_ layers: [any Layer<E>]) {
    precondition(!layers.isEmpty)
    self.layers = layers
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    layers.reduce(x) { $1.express($0, in: graph) }
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    var passes: [any Passes<E>] = [], current = x
    for layer in layers {
      passes.append(try layer.forward(current, run))
      current = passes[passes.count - 1].y
    }
    return SequentialPasses(passes)
  }
}

private final class SequentialPasses<E: Element>: Passes {
  private let passes: [any Passes<E>]

  init(_ passes: [any Passes<E>]) { self.passes = passes }

  var y: Feature<E> { passes[passes.count - 1].y }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    var current = xDot
    for (index, passes) in passes.enumerated() {
      current = try passes.forwardTangent(current, adding: index == self.passes.count - 1 ? v : nil, run)
    }
    return current
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    var gradient = yBar
    for index in passes.indices.reversed() {
      gradient = try passes[index].backward(
        gradient, adding: index == 0 ? addend : nil, target: index == 0 ? target : passes[index - 1].y.target, pass,
        run)
    }
    return gradient
  }

  var storedTangents: [Tensor<E>] { passes.flatMap { $0.storedTangents } }
}

/// A linear map, with its bias, as a layer: y = W∗x + b, stored.
package final class Linear<E: Element>: Layer {
  package let map: any LinearMap<E>

  package init(_ map: any LinearMap<E>) { self.map = map }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    map.express(x, in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> { LinearPasses(map, x, run) }
}
