import Kernels
import Tensors

/// A convolution (a linear layer is a 1×1 one on 1×1 pixels), with or without bias.
///
///     y = W∗x + b          x: n×h×w×I   y: n×h'×w'×O   h' = (h + 2 padding − kernel) / stride + 1
///     ẏ = W∗ẋ
///     x̄ = Wᵀ∗ȳ             W̄ += x⊗ȳ     b̄ += Σ ȳ
///     x̄˙ = Wᵀ∗ȳ˙           W̄˙ += x⊗ȳ˙ + ẋ⊗ȳ             b̄˙ += Σ ȳ˙
///
/// The last pass carries h = ȳ + λȳ˙ (see `BackwardPass`): its data pass is `backwardData` of h, and both terms of its
/// weight gradient, x⊗h + ẋ⊗λȳ, share one accumulator in `backwardWeights`.
///
/// Precision: operands as stored (or rounded to bfloat16), products and sums in the accumulator. Collectives: none;
/// W̄ and b̄ are local sums that the gradient reduction adds up over ranks.
package final class Convolution<E: Element>: LinearMap {
  package let geometry: Geometry
  package let weight: ParameterLayout.Slot
  package let bias: ParameterLayout.Slot?
  /// What its tensors begin with.
  package let name: String

  private let working: WorkingWeights<E>

  package init(
    _ layout: inout ParameterLayout, _ name: String, inputs: Int, outputs: Int, kernel: Int = 1, stride: Int = 1,
    padding: Int = 0, bias: Bool = false, linear: Bool = false, transform: FilterTransform = .none,
    start: ParameterLayout.Start = .usual
  ) {
    geometry = Geometry(inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: padding)
    self.name = name
    weight = layout.add(
      name + ".weight", linear ? .linear : .convolution,
      shape: linear ? [outputs, inputs] : [outputs, inputs, kernel, kernel], start: start)
    self.bias = bias ? layout.add(name + ".bias", .bias, shape: [outputs]) : nil
    let transform: (any WeightTransform)? =
      switch transform {
      case .none: nil
      case .aligned: AlignedFilters(&layout, name, of: weight)
      case .spectral: SpectralFilters(weight)
      case .unitLength: UnitFilters(weight)
      }
    working = WorkingWeights(weight, geometry, transform, of: name)
  }

  var transform: (any WeightTransform)? { working.transform }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    // A linear layer's weight as that of a 1×1 convolution, where it multiplies a map.
    let shape =
      x.extent.count == 1
      ? Array(weight.shape[..<2]) : weight.shape + [Int](repeating: 1, count: 4 - weight.shape.count)
    return graph.convolution(
      x, graph.parameter(weight, shape: shape, through: transform), bias.map { graph.parameter($0) }, geometry)
  }

  package var slots: [ParameterLayout.Slot] { [weight] + (bias.map { [$0] } ?? []) + (transform?.parameters ?? []) }

  private var inputChannels: Int { geometry.inputs }
  private var outputChannels: Int { geometry.outputs }
  private var kernel: Int { geometry.kernel }
  private var stride: Int { geometry.stride }
  private var padding: Int { geometry.padding }

  /// The shape of the outputs for inputs of this shape.
  package func outputShape(_ input: Shape) -> Shape { geometry.outputShape(input) }

  /// Multiply-adds of one forward pass.
  package func multiplyAdds(_ input: Shape) -> Int { geometry.multiplyAdds(input) }

  package var keptBytes: Int { working.keptBytes }

  package func pack(_ values: Buffer<E.Accumulator>, backward: Bool, _ context: Context<E>) {
    working.take(values, backward: backward, context)
  }

  package func readsWhenPacked(backward: Bool) -> Bool { !backward || working.transform != nil }

  /// y = W∗x (+ b), finished by the epilogue. Returns the epilogue's sums.
  @discardableResult
  package func forward(
    _ x: Operand<E>, _ parameters: Parameters<E.Accumulator>, _ epilogue: Epilogue<E>, _ context: Context<E>
  ) -> Sums {
    var epilogue = epilogue
    if let bias { epilogue.bias = UnsafePointer(parameters.values.pointer + bias.range.lowerBound) }
    return record(.forward, x, epilogue, context)
  }

  /// ẏ = W∗ẋ, finished by the epilogue. Returns the epilogue's sums.
  @discardableResult
  package func forwardTangent(_ xDot: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    record(.tangent, xDot, epilogue, context)
  }

  private func record(_ pass: Work.Pass, _ x: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let weights = working.forward(context)
    context.workers.work.move(.activations, x.bytes + epilogue.bytes)
    context.workers.work.move(.weights, weights.bytes)
    let out = epilogue.out.shape
    precondition(x.shape.channels == inputChannels && out == outputShape(x.shape))
    return record(pass, multiplyAdds(x.shape), performed(x.shape, context), context) {
      multiply(x, weights, geometry.window, rows: out.height, columns: out.width, epilogue, Placement(), context)
    }
  }

  /// What is left of these multiply-adds where Winograd filters, transforms not counted.
  private func performed(_ input: Shape, _ context: Context<E>) -> Int? {
    working.winograd(context).map { _ in
      Winograd.products * input.images * Winograd.tiles(input.height) * Winograd.tiles(input.width) * inputChannels
        * outputChannels
    }
  }

  /// Counts the multiply-adds of a pass and times it.
  private func record<T>(
    _ pass: Work.Pass, _ multiplyAdds: Int, _ performed: Int?, _ context: Context<E>, _ body: () -> T
  ) -> T {
    context.workers.work.add(pass, multiplyAdds, performed: performed)
    return context.workers.timeline.measure(.convolution, "\(name) \(pass.rawValue)", body)
  }

  /// A forward pass, or what a data gradient is of one residue class, by windows or as Winograd has it. `weights`: nil where the
  /// window is empty.
  private func multiply(
    _ operand: Operand<E>, _ weights: WorkingWeights<E>.Packed?, _ window: Window, rows: Int, columns: Int,
    _ epilogue: Epilogue<E>, _ placement: Placement, _ context: Context<E>
  ) -> Sums {
    let kernels = context.kernels, output = epilogue.out.shape, addend = epilogue.addend?.shape ?? output
    return withExtendedLifetime((operand, weights, epilogue)) {
      let partial: Buffer<Double>?, bands: Int
      if let winograd = working.winograd(context), let weights {
        (partial, bands) = WinogradPass(
          kernels: kernels, winograd: winograd, operand: operand.view(.exact), input: operand.shape,
          channels: output.channels, panels: weights.tiles, epilogue: epilogue.view, output: output, addend: addend
        ).run(context.workers)
      } else {
        (partial, bands) = ConvolutionPass(
          kernels: kernels, operand: operand.view(kernels.multiplication), input: operand.shape, window: window,
          rows: rows, columns: columns, channels: output.channels, panels: weights?.panels, epilogue: epilogue.view,
          output: output, placement: placement, addend: addend
        ).run(context.workers)
      }
      return epilogue.sums(partial, parts: bands)
    }
  }

  /// x̄ = Wᵀ∗ȳ, finished by the epilogue (whose `out` has the input's shape). Returns the epilogue's sums.
  ///
  /// A stride s splits the input pixels into s² residue classes; within one the same taps reach every pixel, so each
  /// is a convolution of its own without a multiplication by zero.
  @discardableResult
  package func backwardData(_ yBar: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let out = epilogue.out.shape
    precondition(yBar.shape == outputShape(out))
    var sums: Sums?
    context.workers.work.move(.activations, epilogue.bytes)
    for residue in working.residues {
      let rows = (out.height - residue.row + stride - 1) / stride,
        columns = (out.width - residue.column + stride - 1) / stride
      guard rows > 0 && columns > 0 else { continue }
      let weights = working.backward(residue, context), taps = residue.window.taps
      context.workers.work.move(.activations, taps > 0 ? yBar.bytes : 0)
      context.workers.work.move(.weights, weights?.bytes ?? 0)
      let multiplyAdds = out.images * rows * columns * taps * inputChannels * outputChannels
      let part = record(.backwardData, multiplyAdds, performed(out, context), context) {
        multiply(
          yBar, weights, residue.window, rows: rows, columns: columns, epilogue,
          Placement(step: stride, row: residue.row, column: residue.column), context)
      }
      if sums == nil { sums = part } else { sums! += part }
    }
    return sums ?? .none
  }

  /// W̄ += x⊗ȳ (+ ẋ⊗ȳ₁, the second term of a tangent) and b̄ += Σ ȳ, into a buffer of the parameters' layout. With a bias,
  /// ȳ has to be a plain operand.
  package func backwardWeights(
    _ x: Operand<E>, _ yBar: Operand<E>, tangent: (x: Operand<E>, yBar: Operand<E>)?,
    into gradients: ParameterGradients, _ context: Context<E>
  ) {
    precondition(x.shape.channels == inputChannels && yBar.shape == outputShape(x.shape))
    precondition(bias == nil || yBar.isPlain, "a bias gradient is summed over what is stored")
    let kernels = context.kernels, winograd = working.winograd(context)
    let multiplication = winograd == nil ? kernels.multiplication : .exact
    let operands = [(x: x, yBar: yBar)] + (tangent.map { [$0] } ?? [])
    let pass = WeightGradientPass(
      kernels: kernels,
      terms: operands.map {
        .init(operand: $0.x.view(multiplication), gradient: $0.yBar.view(multiplication))
      }, input: x.shape, window: geometry.window, output: yBar.shape,
      weightGradient: gradients.values.pointer + weight.range.lowerBound,
      rounding: gradients.grid.rounding(at: weight.range.lowerBound),
      winograd: winograd)
    context.workers.work.move(.activations, operands.reduce(0) { $0 + $1.x.bytes + $1.yBar.bytes })
    context.workers.work.move(.weights, pass.bytes(context.workers))
    let performed = performed(x.shape, context).map { operands.count * $0 }
    record(.backwardWeights, operands.count * multiplyAdds(x.shape), performed, context) {
      withExtendedLifetime(operands) { pass.run(context.workers, context.arena) }
    }
    guard let bias else { return }
    let sums = PixelSums.perImage(yBar.tensor, context)
    for (index, sum) in sums.enumerated() {
      gradients.add(sum, at: bias.range.lowerBound + index % outputChannels)
    }
  }
}
