import Foundation
import Tensors

/// A map times a gate, both of which are given:
///
///     y = x∘(k + s),  s = σ(a),  a = Σ_b a_b,  σ' = s(1 − s),  σ'' = σ'(1 − 2s)
///     ẏ = ẋ∘(k + s) + x∘σ'∘ȧ
///     ā = ȳ∘x∘σ',  x̄ = ȳ∘(k + s)
///     ā + λā˙ = h∘x∘σ' + λȳ∘(ẋ∘σ' + x∘σ''∘ȧ),  x̄ + λx̄˙ = h∘(k + s) + λȳ∘σ'∘ȧ
///
/// a_b has the channels of x or one for all of them, and its pixels or fewer (a grid, one cell an image), read at the nearest; ā_b
/// is summed over what was read more than once. k is 0 for a plain gate and 1 for one that only adds (BAM). The
/// last line carries h = ȳ + λȳ˙ (see `BackwardPass`). Stored: y; by a recording backward pass ȳ, by a tangent pass ẏ; s is
/// computed again.
///
/// x, y: n×h×w×c, x as it is read. Precision: a pixel in float64, rounded to an accumulator and stored, as are sums over channels
/// or cells. Collectives: none.
package final class GateProduct<E: Element> {
  package let y: Tensor<E>
  private let x: Operand<E>, gates: [Operand<E>], offset: Double
  private var recorded: Tensor<E>?
  /// ẋ, ȧ_b and ẏ.
  private var tangent: (x: Operand<E>, gates: [Operand<E>], y: Tensor<E>)?

  /// y as operators of `graph`.
  package static func express(
    _ x: InferenceGraph.Value, _ gates: [InferenceGraph.Value], offset: Double = 0, in graph: InferenceGraph
  ) -> InferenceGraph.Value {
    // One cell is the same for all pixels as it is.
    let opened = gates.map {
      $0.area == 1 ? $0 : graph.upsampled($0, height: x.height, width: x.width)
    }
    let s = graph.sigmoid(opened.dropFirst().reduce(opened[0]) { graph.sum($0, $1) })
    return graph.product(x, offset == 0 ? s : graph.with(offset, "Add", s))
  }

  /// `gates`: a_b; `offset`: k.
  package init(_ x: Operand<E>, _ gates: [Operand<E>], offset: Double = 0, _ run: Run<E>) {
    (self.x, self.gates, self.offset) = (x, gates, offset)
    precondition(gates.allSatisfy { [1, x.shape.channels].contains($0.shape.channels) })
    let sum = Sum(gates, first: 1, x.shape.channels)
    y = OperandLines([x] + gates, run.context).store(x.shape, run.context) { line, y in
      for i in 0..<line.count { y[i] = line[0][i] * (offset + sum(line, i).sigmoid()) }
    }
  }

  /// ẏ + v from ẋ and ȧ_b.
  package func forwardTangent(
    _ xDot: Operand<E>, _ dots: [Operand<E>], adding v: Tensor<E>? = nil, _ run: Run<E>
  ) -> Tensor<E> {
    let sum = Sum(gates, first: 2, x.shape.channels)
    let sumDot = Sum(dots, first: 2 + sum.count, x.shape.channels), offset = offset
    let lines = OperandLines([x, xDot] + gates + dots, run.context)
    let yDot = lines.store(x.shape, adding: v, run.context) { line, yDot in
      for i in 0..<line.count {
        let s = sum(line, i).sigmoid()
        yDot[i] = line[1][i] * (offset + s) + line[0][i] * s * (1 - s) * sumDot(line, i)
      }
    }
    tangent = (xDot, dots, yDot)
    return yDot
  }

  /// x̄ + `addend`, and ā_b.
  package func backward(_ yBar: Tensor<E>, adding addend: Tensor<E>?, _ pass: BackwardPass, _ run: Run<E>) -> (
    x: Tensor<E>, gates: [Tensor<E>]
  ) {
    let moved: (recorded: Tensor<E>, x: Operand<E>, gates: [Operand<E>])? =
      if case .regularized = pass, let recorded, let tangent { (recorded, tangent.x, tangent.gates) } else { nil }
    let slopes = Slopes(x: x, gates: gates, yBar: yBar, offset: offset, moved: moved, weight: pass.tangentWeight)
    if pass.gradients == nil { recorded = yBar }
    return (slopes.direct(adding: addend, run.context), slopes.gates(gates.map(\.shape), run.context))
  }

  package var storedTangents: [Tensor<E>] { [tangent?.y].compactMap { $0 } }
}

/// Σ_b a_b at an element of a line: operands `first`, … of it, each with a value a channel or one for all.
private struct Sum {
  let first: Int, channels: Int
  private let shared: [Bool]
  var count: Int { shared.count }

  init<E: Element>(_ gates: [Operand<E>], first: Int, _ channels: Int) {
    (self.first, self.channels) = (first, channels)
    shared = gates.map { $0.shape.channels == 1 }
  }

  func callAsFunction<E: Element>(_ line: OperandLines<E>.Line, _ i: Int) -> Double {
    var sum = 0.0
    for (index, isShared) in shared.enumerated() { sum += line[first + index][isShared ? i / channels : i] }
    return sum
  }
}

/// ā and the direct part of x̄, plain or regularized.
private struct Slopes<E: Element> {
  let x: Operand<E>, gates: [Operand<E>], yBar: Tensor<E>, offset: Double
  let moved: (recorded: Tensor<E>, x: Operand<E>, gates: [Operand<E>])?
  let weight: Double

  private var channels: Int { x.shape.channels }

  /// x, ȳ (or h), the gates; then ȳ, ẋ and the gates' tangents, where they count.
  private func lines(_ context: Context<E>) -> OperandLines<E> {
    let second = moved.map { [.plain($0.recorded), $0.x] + $0.gates } ?? []
    return OperandLines([x, .plain(yBar)] + gates + second, context)
  }

  func direct(adding addend: Tensor<E>?, _ context: Context<E>) -> Tensor<E> {
    let sum = Sum(gates, first: 2, channels), second = 2 + sum.count, offset = offset, weight = weight
    let sumDot = moved.map { Sum($0.gates, first: second + 2, channels) }
    return lines(context).store(x.shape, adding: addend, context) { line, direct in
      for i in 0..<line.count {
        let s = sum(line, i).sigmoid()
        direct[i] = line[1][i] * (offset + s)
        if let sumDot { direct[i] += weight * line[second][i] * s * (1 - s) * sumDot(line, i) }
      }
    }
  }

  /// Of each gate, of its shape.
  func gates(_ shapes: [Shape], _ context: Context<E>) -> [Tensor<E>] {
    /// Of all pixels, with a value a channel or one: what smaller ones are sums of.
    var whole: [Int: Tensor<E>] = [:]
    return shapes.map { shape in
      let full = whole[shape.channels] ?? gate(channels: shape.channels, context)
      whole[shape.channels] = full
      guard (shape.height, shape.width) != (x.shape.height, x.shape.width) else { return full }
      return Upsample.backward(full, height: shape.height, width: shape.width, context)
    }
  }

  private func gate(channels gateChannels: Int, _ context: Context<E>) -> Tensor<E> {
    let channels = channels, isShared = gateChannels == 1, shape = x.shape.with(channels: gateChannels)
    let sum = Sum(gates, first: 2, channels), second = 2 + sum.count, weight = weight
    let sumDot = moved.map { Sum($0.gates, first: second + 2, channels) }
    return lines(context).store(shape, context) { line, aBar in
      for k in 0..<shape.width * gateChannels { aBar[k] = 0 }
      for i in 0..<line.count {
        let s = sum(line, i).sigmoid(), slope = s * (1 - s)
        var bar = line[1][i] * line[0][i] * slope
        if let sumDot {
          bar += weight * line[second][i] * slope * (line[second + 1][i] + line[0][i] * (1 - 2 * s) * sumDot(line, i))
        }
        aBar[isShared ? i / channels : i] += bar
      }
    }
  }
}
