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
  /// What the weights go through before they are used, if anything.
  let transform: (any WeightTransform)?
  /// What its tensors begin with.
  package let name: String

  /// The working weights, packed once a step: for `forward`, and for each residue class of pixels of `backwardData`.
  private var forwardPanels: Buffer<UInt8>?
  private var backwardPanels: [(class: ResidueClass, panels: Buffer<UInt8>?)] = []
  /// The same where Winograd filters: transformed, [ξ][panel][row][width].
  private var forwardTiles: Buffer<Float>?, backwardTiles: Buffer<Float>?

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
    self.transform =
      switch transform {
      case .none: nil
      case .aligned: AlignedFilters(&layout, name, of: weight)
      case .unitLength: UnitFilters(weight)
      }
  }

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

  /// Bytes of the packed working weights, after `pack`.
  package var packedBytes: Int {
    (forwardPanels?.bytes ?? 0) + backwardPanels.reduce(0) { $0 + ($1.panels?.bytes ?? 0) }
      + (forwardTiles?.bytes ?? 0) + (backwardTiles?.bytes ?? 0)
  }

  private var window: Window { Window(rows: kernel, columns: kernel, stride: stride, top: -padding, left: -padding) }

  /// Packs the working weights from the masters: after every change of them, before any pass. `backward` also packs
  /// what `backwardData` needs.
  package func pack(_ values: Buffer<E.Accumulator>, backward: Bool, _ context: Context<E>) {
    let gemm = context.kernels.gemm, window = window
    let working = transform?.apply(values, context.workers)
    defer { withExtendedLifetime(working) {} }
    let w = working?.pointer ?? values.pointer + weight.range.lowerBound
    if let winograd = winograd(context) {
      forwardTiles = transformed(w, winograd, isFlipped: false, into: forwardTiles, context)
      if backward { backwardTiles = transformed(w, winograd, isFlipped: true, into: backwardTiles, context) }
      return
    }
    let rows = window.panelRows(gemm, inputChannels), run = window.columns * inputChannels
    let panels = forwardPanels ?? Buffer(count: gemm.panelBytes(columns: outputChannels, rows: rows))
    forwardPanels = panels
    countPacking(panels, context)
    let width = gemm.panelWidth(columns: outputChannels)
    context.workers.parallelFor((outputChannels + width - 1) / width) { panel, _ in
      let first = panel * width, base = panels.pointer + gemm.panelOffset(column: first, rows: rows)
      for row in 0..<window.rows {
        gemm.pack(
          w + row * run * self.outputChannels + first, run, min(width, self.outputChannels - first),
          rowStride: self.outputChannels, columnStride: 1, width: width, panelRows: rows,
          row: row * gemm.padded(depth: run), into: base)
      }
    }
    if backward { packBackward(w, context) }
  }

  /// Masters read, panels written.
  private func countPacking(_ panels: Buffer<UInt8>, _ context: Context<E>) {
    countPacking(bytes: panels.bytes, context)
  }

  private func countPacking(bytes: Int, _ context: Context<E>) {
    context.workers.work.move(.weights, weight.count * MemoryLayout<E.Accumulator>.size + bytes)
  }

  /// What filters this convolution, where Winograd does: the shape of its taps decides, never that of a batch.
  private func winograd(_ context: Context<E>) -> Winograd? {
    kernel == 3 && stride == 1 && padding == 1 ? context.kernels.winograd : nil
  }

  /// The working weights in Winograd's panels: rows are input channels and columns output channels; of the data gradient,
  /// whose taps are flipped, the other way round.
  private func transformed(
    _ w: UnsafeMutablePointer<E.Accumulator>, _ winograd: Winograd, isFlipped: Bool, into tiles: Buffer<Float>?,
    _ context: Context<E>
  ) -> Buffer<Float> {
    let gemm = winograd.gemm, taps = kernel * kernel
    let (rows, columns) = isFlipped ? (outputChannels, inputChannels) : (inputChannels, outputChannels)
    let width = gemm.panelWidth(columns: columns), panel = rows * width, plane = gemm.padded(columns: columns) * rows
    let tiles = tiles ?? Buffer(count: Winograd.products * plane)
    countPacking(bytes: tiles.bytes, context)
    context.workers.reserveScratch(bytes: taps * panel * MemoryLayout<Float>.size)
    context.workers.parallelFor((columns + width - 1) / width) { index, worker in
      let packed = context.workers.scratch(worker).assumingMemoryBound(to: Float.self), first = index * width
      for tap in 0..<taps {
        let from =
          isFlipped
          ? w + ((taps - 1 - tap) * self.inputChannels + first) * self.outputChannels
          : w + tap * self.inputChannels * self.outputChannels + first
        gemm.pack(
          from, rows, min(width, columns - first), rowStride: isFlipped ? 1 : self.outputChannels,
          columnStride: isFlipped ? self.outputChannels : 1, width: width, panelRows: rows, row: 0,
          into: packed + tap * panel)
      }
      winograd.transformWeights(packed, tap: panel, count: panel, into: tiles.pointer + index * panel, plane: plane)
    }
    return tiles
  }

  private func packBackward(_ w: UnsafeMutablePointer<E.Accumulator>, _ context: Context<E>) {
    let gemm = context.kernels.gemm
    if backwardPanels.isEmpty {
      backwardPanels = ResidueClass.all(kernel: kernel, stride: stride, padding: padding).map { residue in
        let rows = residue.window.panelRows(gemm, outputChannels)
        return (residue, rows == 0 ? nil : Buffer(count: gemm.panelBytes(columns: inputChannels, rows: rows)))
      }
    }
    let width = gemm.panelWidth(columns: inputChannels)
    for (residue, panels) in backwardPanels {
      guard let panels else { continue }
      countPacking(panels, context)
      let window = residue.window, rows = window.panelRows(gemm, outputChannels)
      let run = gemm.padded(depth: window.columns * outputChannels)
      context.workers.parallelFor((inputChannels + width - 1) / width) { panel, _ in
        let first = panel * width, base = panels.pointer + gemm.panelOffset(column: first, rows: rows)
        for (index, tap) in residue.taps.enumerated() {
          // rows: output channels of one tap; columns: input channels
          gemm.pack(
            w + (tap * self.inputChannels + first) * self.outputChannels, self.outputChannels,
            min(width, self.inputChannels - first), rowStride: 1, columnStride: self.outputChannels, width: width,
            panelRows: rows, row: index / window.columns * run + index % window.columns * self.outputChannels,
            into: base)
        }
      }
    }
  }

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
    context.workers.work.move(.activations, x.bytes + epilogue.bytes)
    context.workers.work.move(.weights, forwardPanels?.bytes ?? forwardTiles?.bytes ?? 0)
    return record(pass, multiplyAdds(x.shape), performed(x.shape, context), context) { multiply(x, epilogue, context) }
  }

  /// What is left of these multiply-adds where Winograd filters, transforms not counted.
  private func performed(_ input: Shape, _ context: Context<E>) -> Int? {
    winograd(context).map { _ in
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

  private func multiply(_ x: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    precondition(x.shape.channels == inputChannels && epilogue.out.shape == outputShape(x.shape))
    let out = epilogue.out.shape
    if let winograd = winograd(context) { return filter(x, winograd, forwardTiles, epilogue, context) }
    return withExtendedLifetime((x, epilogue)) {
      let pass = pass(
        x, window, rows: out.height, columns: out.width, channels: outputChannels, forwardPanels, epilogue, Placement(),
        context)
      let (partial, bands) = pass.run(context.workers)
      return epilogue.sums(partial, parts: bands)
    }
  }

  /// A forward pass or a data gradient as Winograd has it.
  private func filter(
    _ x: Operand<E>, _ winograd: Winograd, _ tiles: Buffer<Float>?, _ epilogue: Epilogue<E>, _ context: Context<E>
  ) -> Sums {
    withExtendedLifetime((x, epilogue)) {
      let pass = WinogradPass(
        kernels: context.kernels, winograd: winograd, operand: x.view(.exact), input: x.shape,
        channels: epilogue.out.shape.channels, panels: UnsafePointer(after("packing", tiles).pointer),
        epilogue: epilogue.view, output: epilogue.out.shape, addend: epilogue.addend?.shape ?? epilogue.out.shape)
      let (partial, bands) = pass.run(context.workers)
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
    if let winograd = winograd(context) {
      context.workers.work.move(.activations, yBar.bytes)
      context.workers.work.move(.weights, backwardTiles?.bytes ?? 0)
      return record(.backwardData, multiplyAdds(out), performed(out, context), context) {
        filter(yBar, winograd, backwardTiles, epilogue, context)
      }
    }
    precondition(!backwardPanels.isEmpty)
    for (residue, panels) in backwardPanels {
      let rows = (out.height - residue.row + stride - 1) / stride,
        columns = (out.width - residue.column + stride - 1) / stride
      guard rows > 0 && columns > 0 else { continue }
      let placement = Placement(step: stride, row: residue.row, column: residue.column)
      let multiplyAdds = out.images * rows * columns * residue.window.taps * inputChannels * outputChannels
      context.workers.work.move(.activations, residue.window.taps > 0 ? yBar.bytes : 0)
      context.workers.work.move(.weights, panels?.bytes ?? 0)
      let part = record(.backwardData, multiplyAdds, nil, context) {
        withExtendedLifetime((yBar, epilogue)) {
          let pass = pass(
            yBar, residue.window, rows: rows, columns: columns, channels: inputChannels, panels, epilogue, placement,
            context)
          let (partial, bands) = pass.run(context.workers)
          return epilogue.sums(partial, parts: bands)
        }
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
    let kernels = context.kernels, winograd = winograd(context)
    let multiplication = winograd == nil ? kernels.multiplication : .exact
    let operands = [(x: x, yBar: yBar)] + (tangent.map { [$0] } ?? [])
    let pass = WeightGradientPass(
      kernels: kernels,
      terms: operands.map {
        .init(operand: $0.x.view(multiplication), gradient: $0.yBar.view(multiplication))
      }, input: x.shape, window: window, output: yBar.shape,
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

  private func pass(
    _ operand: Operand<E>, _ window: Window, rows: Int, columns: Int, channels: Int, _ panels: Buffer<UInt8>?,
    _ epilogue: Epilogue<E>, _ placement: Placement, _ context: Context<E>
  ) -> ConvolutionPass<E> {
    let kernels = context.kernels
    return ConvolutionPass(
      kernels: kernels, operand: operand.view(kernels.multiplication), input: operand.shape, window: window, rows: rows,
      columns: columns,
      channels: channels, panels: panels.map { UnsafeRawPointer($0.pointer) },
      epilogue: epilogue.view,
      output: epilogue.out.shape,
      placement: placement, addend: epilogue.addend?.shape ?? epilogue.out.shape)
  }
}
