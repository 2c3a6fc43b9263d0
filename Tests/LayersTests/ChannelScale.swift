import Layers
import Tensors

/// A trained factor a channel, y = a∘x.
///
///     ẏ = a∘ẋ        x̄ = a∘ȳ        ā += Σ x∘ȳ        ā˙ += Σ (x∘ȳ˙ + ẋ∘ȳ)        Σ over images and pixels
///
/// The last carries h = ȳ + λȳ˙ (see `BackwardPass`). x, y: n×h×w×c, x as it is read, y stored. Precision: float64, rounded to an
/// accumulator and stored; ā is summed within an image in float64, over images exactly. Collectives: none.
package final class ChannelScale<E: Element>: Layer {
  fileprivate let factor: ParameterLayout.Slot

  /// Tensor `<name>.weight`.
  package init(_ layout: inout ParameterLayout, _ name: String, channels: Int) {
    factor = layout.add(name + ".weight", .normScale, shape: [channels])
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.add("Mul", [x.name, graph.parameter(factor, shape: [x.channels, 1, 1])], extent: x.extent)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) -> any Passes<E> {
    run.note([factor])
    return ChannelScalePasses(self, x, run)
  }

  /// a∘x + `addend`.
  fileprivate func scaled(_ x: Operand<E>, adding addend: Tensor<E>?, _ run: Run<E>) -> Tensor<E> {
    let a = factor.range.map { Double(run.parameters.values[$0]) }
    return OperandLines([x], run.context).store(x.shape, adding: addend, run.context) { line, y in
      for i in 0..<line.count { y[i] = a[i % a.count] * line[0][i] }
    }
  }

  /// ā += `weight`·Σ x∘ȳ, once an image.
  fileprivate func add(
    _ x: Operand<E>, _ yBar: Tensor<E>, times weight: Double, to gradients: ParameterGradients, _ run: Run<E>
  ) {
    let x = x.materialized(run.context), yBar = Operand.plain(yBar).materialized(run.context), shape = x.shape
    guard !run.context.workers.isRehearsal else { return }
    for image in 0..<shape.images {
      var sums = [Double](repeating: 0, count: shape.channels)
      for i in image * shape.area * shape.channels..<(image + 1) * shape.area * shape.channels {
        sums[i % shape.channels] += Double(x.pointer[i]) * Double(yBar.pointer[i])
      }
      for (index, sum) in zip(factor.range, sums) { gradients.add(weight * sum, at: index) }
    }
  }
}

private final class ChannelScalePasses<E: Element>: Passes {
  let y: Feature<E>
  private let layer: ChannelScale<E>, x: Feature<E>
  private var recorded: Tensor<E>?, xDot: Operand<E>?
  private(set) var storedTangents: [Tensor<E>] = []

  init(_ layer: ChannelScale<E>, _ x: Feature<E>, _ run: Run<E>) {
    (self.layer, self.x) = (layer, x)
    y = .plain(layer.scaled(x.value, adding: nil, run))
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    self.xDot = xDot
    storedTangents = [layer.scaled(xDot, adding: v, run)]
    return .plain(storedTangents[0])
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    if let gradients = pass.gradients {
      layer.add(x.value, yBar.tensor, times: 1, to: gradients, run)
      if let xDot, let recorded { layer.add(xDot, recorded, times: pass.tangentWeight, to: gradients, run) }
    } else {
      recorded = yBar.tensor
    }
    return target.finish(layer.scaled(.plain(yBar.tensor), adding: addend, run), run.context)
  }
}
