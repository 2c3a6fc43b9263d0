import Foundation
import Kernels
import Tensors

/// 2×2 average pooling, stride 2, of what a tensor is read as; a last odd row or column is left out, as in PyTorch.
///
///     y[i, j] = ¼ Σ over s, t in 0…1 of x[2i + s, 2j + t]        x̄[i, j] = ¼ȳ[⌊i/2⌋, ⌊j/2⌋], 0 where y does not see x
///
/// Linear: its tangent passes are these two again.
///
/// x: n×h×w×c, y: n×⌊h/2⌋×⌊w/2⌋×c. Precision: summed in the accumulator, rounded once. Collectives: none.
package enum WindowAverage<E: Element> {
  package static func outputShape(_ x: Shape) -> Shape { Shape(x.images, x.height / 2, x.width / 2, x.channels) }

  /// Stored, plus `addend`.
  package static func forward(_ x: Operand<E>, adding addend: Tensor<E>? = nil, _ context: Context<E>) -> Tensor<E> {
    let input = x.shape, output = outputShape(input), kernels = context.kernels, channels = input.channels
    var epilogue = Epilogue(out: context.tensor(output))
    epilogue.addend = addend
    context.workers.work.move(.activations, x.bytes)
    // It is a depthwise convolution whose weights are all ¼.
    let quarters = Buffer([E.Accumulator](repeating: 0.25, count: 4 * channels)), view = x.view(.exact)
    let columns = (0..<2 * output.width).map { Int32($0) }, count = input.width * channels
    _ = RowStore.run(epilogue, lines: output.images * output.height, columns: output.width, context) { line, rows in
      let image = line / output.height, first = line % output.height * 2
      withUnsafeTemporaryAllocation(of: E.Accumulator.self, capacity: 2 * count) { lines in
        let base = lines.baseAddress!
        kernels.read(
          view, image: image, pixel: image * input.area + first * input.width, 2 * input.width, channels: channels,
          into: base)
        withUnsafeTemporaryAllocation(of: UnsafeRawPointer?.self, capacity: 2) { pointers in
          pointers.initializeElement(at: 0, to: UnsafeRawPointer(base))
          pointers.initializeElement(at: 1, to: UnsafeRawPointer(base + count))
          kernels.depthwise(
            lines: pointers.baseAddress!, kernel: 2, from: columns, columns: output.width, weights: quarters.pointer,
            channels: channels, into: rows)
        }
      }
      return channels
    }
    withExtendedLifetime((x, quarters)) {}
    return epilogue.out
  }

  /// x̄ (or, from h, x̄ + λx̄˙) of a tensor of shape `input`, finished by its target.
  package static func backward(
    _ yBar: Tensor<E>, _ input: Shape, _ target: GradientTarget<E>, _ context: Context<E>
  ) -> Gradient<E> {
    let output = yBar.shape, kernels = context.kernels, channels = input.channels
    var epilogue = Epilogue(out: context.tensor(input))
    epilogue.target = target
    let quarter = Operand.scaled(yBar, by: 0.25), view = quarter.view(.exact)
    let pixelBytes = channels * MemoryLayout<E.Accumulator>.size
    context.workers.work.move(.activations, yBar.bytes)
    let sums = RowStore.run(epilogue, lines: input.images * input.height, columns: input.width, context) { line, rows in
      let image = line / input.height, row = line % input.height / 2
      guard row < output.height else {
        memset(rows, 0, input.width * pixelBytes)
        return channels
      }
      withUnsafeTemporaryAllocation(of: E.Accumulator.self, capacity: output.width * channels) { bars in
        kernels.read(
          view, image: image, pixel: (image * output.height + row) * output.width, output.width, channels: channels,
          into: bars.baseAddress!)
        for column in 0..<2 * output.width {
          memcpy(rows + column * channels, bars.baseAddress! + column / 2 * channels, pixelBytes)
        }
      }
      if input.width % 2 == 1 { memset(rows + (input.width - 1) * channels, 0, pixelBytes) }
      return channels
    }
    withExtendedLifetime(quarter) {}
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}

/// A unit, then 2×2 average pooling with stride 2: what comes between the stages of OSNet. y is stored.
///
/// Collectives: those of the unit's norm.
package final class AveragedUnit<E: Element>: Layer {
  private let unit: NormalizedConvolution<E>

  package init(_ unit: NormalizedConvolution<E>) { self.unit = unit }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.windowMeans(unit.express(x, in: graph), rows: 2, columns: 2)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let unit = try unit.pass(x, run)
    return AveragedUnitPasses(unit, y: WindowAverage.forward(unit.y.value, run.context))
  }
}

private final class AveragedUnitPasses<E: Element>: Passes {
  let y: Feature<E>
  private let unit: UnitPasses<E>
  private var yDot: Tensor<E>?

  init(_ unit: UnitPasses<E>, y: Tensor<E>) { (self.unit, self.y) = (unit, .plain(y)) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let stored = WindowAverage.forward(try unit.forwardTangent(xDot, run), adding: v, run.context)
    yDot = stored
    return .plain(stored)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let gradient = WindowAverage.backward(yBar.tensor, unit.y.shape, unit.y.target, run.context)
    return try unit.backward(gradient, adding: addend, target: target, pass, run)
  }

  var storedTangents: [Tensor<E>] { unit.storedTangents + [yDot].compactMap { $0 } }
}
