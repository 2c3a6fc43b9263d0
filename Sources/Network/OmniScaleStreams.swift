import Layers
import Tensors

/// The middle of OSNet's block: streams of one, two, three and four Lite 3×3, whose receptive fields are 3, 5, 7 and 9 wide,
/// gated and added up.
///
///     x_t = light_t(… light₁(x)),  y = Σ_t g_t∘x_t of `UnifiedGate`        x̄ = Σ_t of what comes down stream t
///
/// x: n×h×w×c as it is read, y: n×h×w×c, stored. Collectives: those of the norms.
package final class OmniScaleStreams<E: Element>: Layer {
  private let streams: [Sequential<E>], gate: UnifiedGate<E>

  package init(_ streams: [[LightConvolution<E>]], _ gate: UnifiedGate<E>) {
    precondition(!streams.isEmpty)
    (self.streams, self.gate) = (streams.map { Sequential($0) }, gate)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    gate.express(streams.map { $0.express(x, in: graph) }, in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let streams = try self.streams.map { try $0.forward(x, run) }
    return OmniScalePasses(streams, gate.forward(streams.map { $0.y }, run))
  }
}

private final class OmniScalePasses<E: Element>: Passes {
  private let streams: [any Passes<E>], gate: UnifiedGatePasses<E>

  init(_ streams: [any Passes<E>], _ gate: UnifiedGatePasses<E>) { (self.streams, self.gate) = (streams, gate) }

  var y: Feature<E> { gate.y }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let tangents = try streams.map { try $0.forwardTangent(xDot, adding: nil, run) }
    return gate.forwardTangent(tangents, adding: v, run)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let bars = gate.backward(yBar.tensor, pass, run)
    var sum = Gradient(tensor: yBar.tensor, sums: .none), below = addend
    for (t, stream) in streams.enumerated() {
      // The last stream finishes the gradient that all of them write.
      let target = t == streams.count - 1 ? target : .plain
      sum = try stream.backward(bars[t], adding: below, target: target, pass, run)
      below = sum.tensor
    }
    return sum
  }

  var storedTangents: [Tensor<E>] { streams.flatMap { $0.storedTangents } + gate.storedTangents }
}
