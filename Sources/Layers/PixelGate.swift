import Foundation
import Tensors

/// A gate on the pixels of a map, or on its pixels and channels, that a 1×1 convolution opens:
///
///     y = x∘s,  s = σ(a),  a = W∗x + b,  σ' = s(1 − s)           one gate a pixel is the same for all its channels
///     ẏ = ẋ∘s + x∘σ'∘ȧ,  ȧ = W∗ẋ
///     ā = σ'∘Σ ȳ∘x,  x̄ = ȳ∘s + Wᵀ∗ā                               Σ over the channels that share a gate
///     W̄ += x⊗ā,  b̄ += Σ ā
///     ā˙ = σ'∘Σ (ȳ˙∘x + ȳ∘ẋ + (1 − 2s)ȧ∘ȳ∘x),  x̄˙ = ȳ˙∘s + ȳ∘σ'∘ȧ + Wᵀ∗ā˙
///     W̄˙ += x⊗ā˙ + ẋ⊗ā
///
/// The last two lines carry h = ȳ + λȳ˙ (see `BackwardPass`). Stored: s and y; by a recording backward pass ȳ and ā, by a
/// tangent pass ȧ and ẏ.
///
/// x, y: n×h×w×c, s: n×h×w×1 or n×h×w×c; x as it is read, y stored. Precision: the convolution's; the rest of a pixel in
/// float64, rounded to an accumulator and stored. Collectives: none.
package final class PixelGate<E: Element>: Layer {
  private let convolution: any LinearMap<E>

  /// `convolution`: from the channels of x to as many, or to one.
  package init(_ convolution: any LinearMap<E>) {
    let geometry = convolution.geometry
    precondition(geometry.kernel == 1 && geometry.stride == 1)
    precondition(geometry.outputs == 1 || geometry.outputs == geometry.inputs)
    self.convolution = convolution
  }

  /// Tensors `<name>.conv.weight`, `<name>.conv.bias`.
  package convenience init(_ layout: inout ParameterLayout, _ name: String, channels: Int, perChannel: Bool) {
    self.init(
      Convolution<E>(&layout, name + ".conv", inputs: channels, outputs: perChannel ? channels : 1, bias: true))
  }

  /// To be packed.
  package var maps: [any LinearMap<E>] { [convolution] }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.product(x, graph.sigmoid(convolution.express(x, in: graph)))
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let context = run.context, linear = LinearPasses(convolution, x, run)
    let gate = linear.y.value.tensor
    Self.sigmoid(gate, context)
    let lines = OperandLines([x.value, .plain(gate)], context), channels = x.shape.channels, gates = gate.shape.channels
    let y = lines.store(x.shape, context) { line, y in
      for i in 0..<line.count { y[i] = line[0][i] * line[1][gates == 1 ? i / channels : i] }
    }
    return PixelGatePasses(x, linear, y: y)
  }

  /// a ← σ(a), in place.
  private static func sigmoid(_ a: Tensor<E>, _ context: Context<E>) {
    let kernels = context.kernels, size = MemoryLayout<Double>.size
    let count = a.shape.width * a.shape.channels
    context.workers.work.move(.activations, 2 * a.bytes)
    context.workers.reserveScratch(bytes: count * size)
    context.workers.parallelFor(a.shape.images * a.shape.height) { line, worker in
      let values = context.workers.scratch(worker).assumingMemoryBound(to: Double.self)
      kernels.widen(a.pointer + line * count, count, into: values)
      for i in 0..<count { values[i] = 1 / (1 + exp(-values[i])) }
      kernels.narrow(values, count, into: a.pointer + line * count)
    }
  }
}

private final class PixelGatePasses<E: Element>: Passes {
  private let x: Feature<E>, linear: LinearPasses<E>
  let y: Feature<E>
  private var recorded: Tensor<E>?
  /// ẋ, ȧ and ẏ.
  private var tangent: (x: Operand<E>, a: Tensor<E>, y: Tensor<E>)?

  /// `linear`: its output is s.
  init(_ x: Feature<E>, _ linear: LinearPasses<E>, y: Tensor<E>) {
    (self.x, self.linear, self.y) = (x, linear, .plain(y))
  }

  private var gate: Tensor<E> { linear.y.value.tensor }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let aDot = linear.forwardTangent(xDot, run).tensor, channels = x.shape.channels, gates = gate.shape.channels
    let lines = OperandLines([x.value, .plain(gate), xDot, .plain(aDot)], run.context)
    let yDot = lines.store(x.shape, adding: v, run.context) { line, yDot in
      let (x, s, xDot, aDot) = (line[0], line[1], line[2], line[3])
      for i in 0..<line.count {
        let k = gates == 1 ? i / channels : i
        yDot[i] = xDot[i] * s[k] + x[i] * s[k] * (1 - s[k]) * aDot[k]
      }
    }
    tangent = (xDot, aDot, yDot)
    return .plain(yDot)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    let bar = yBar.tensor
    if case .regularized = pass, let recorded, let tangent {
      let operands = [x.value, .plain(gate), .plain(bar), tangent.x, .plain(tangent.a), .plain(recorded)]
      let aBar = regularizedGate(OperandLines(operands, run.context), pass.tangentWeight, run.context)
      linear.backwardWeights(aBar, pass, run)
      let direct = regularizedDirect(
        OperandLines([.plain(gate), .plain(bar), .plain(tangent.a), .plain(recorded)], run.context), pass.tangentWeight,
        adding: addend, run.context)
      return linear.backwardData(aBar, adding: direct, target: target, run)
    }
    if pass.gradients == nil { recorded = bar }
    let channels = x.shape.channels, gates = gate.shape.channels
    let aBar = OperandLines([x.value, .plain(gate), .plain(bar)], run.context).store(gate.shape, run.context) {
      line, aBar in
      let (x, s, yBar) = (line[0], line[1], line[2])
      for k in 0..<line.count / channels * gates { aBar[k] = 0 }
      for i in 0..<line.count { aBar[gates == 1 ? i / channels : i] += yBar[i] * x[i] }
      for k in 0..<line.count / channels * gates { aBar[k] *= s[k] * (1 - s[k]) }
    }
    linear.backwardWeights(aBar, pass, run)
    let direct = OperandLines([.plain(gate), .plain(bar)], run.context).store(x.shape, adding: addend, run.context) {
      line, direct in
      for i in 0..<line.count { direct[i] = line[1][i] * line[0][gates == 1 ? i / channels : i] }
    }
    return linear.backwardData(aBar, adding: direct, target: target, run)
  }

  /// ā + λā˙ from x, s, h, ẋ, ȧ, ȳ.
  private func regularizedGate(_ lines: OperandLines<E>, _ weight: Double, _ context: Context<E>) -> Tensor<E> {
    let channels = x.shape.channels, gates = gate.shape.channels
    return lines.store(gate.shape, context) { line, aBar in
      let (x, s, h, xDot, aDot, yBar) = (line[0], line[1], line[2], line[3], line[4], line[5])
      for k in 0..<line.count / channels * gates { aBar[k] = 0 }
      for i in 0..<line.count {
        let k = gates == 1 ? i / channels : i
        aBar[k] += h[i] * x[i] + weight * yBar[i] * (xDot[i] + (1 - 2 * s[k]) * aDot[k] * x[i])
      }
      for k in 0..<line.count / channels * gates { aBar[k] *= s[k] * (1 - s[k]) }
    }
  }

  /// h∘s + λȳ∘σ'∘ȧ + `addend` from s, h, ȧ, ȳ.
  private func regularizedDirect(
    _ lines: OperandLines<E>, _ weight: Double, adding addend: Tensor<E>?, _ context: Context<E>
  ) -> Tensor<E> {
    let channels = x.shape.channels, gates = gate.shape.channels
    return lines.store(x.shape, adding: addend, context) { line, direct in
      let (s, h, aDot, yBar) = (line[0], line[1], line[2], line[3])
      for i in 0..<line.count {
        let k = gates == 1 ? i / channels : i
        direct[i] = h[i] * s[k] + weight * yBar[i] * s[k] * (1 - s[k]) * aDot[k]
      }
    }
  }

  var storedTangents: [Tensor<E>] { tangent.map { [$0.a, $0.y] } ?? [] }
}
