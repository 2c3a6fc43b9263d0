import Foundation
import Tensors

/// One of `count` horizontal bands of a map, the part of a body (PCB: Sun et al., 2018):
///
///     y = Bx        ẏ = Bẋ        x̄ = Bᵀȳ        x̄˙ = Bᵀȳ˙
///
/// B takes the rows ⌊i·h/n⌋ to ⌈(i + 1)·h/n⌉ of all h, those that PyTorch's adaptive pooling takes for row i of n: neighbours
/// share a row where h is no multiple of n. Bᵀ puts them back among zeros.
///
/// x: n×h×w×c as it is read; y: n×(rows)×w×c, stored. Precision: unchanged. Collectives: none.
package final class Band<E: Element>: Layer {
  private let index: Int, count: Int

  /// `index`: from 0.
  package init(_ index: Int, of count: Int) {
    precondition(0 <= index && index < count)
    (self.index, self.count) = (index, count)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.part(x, axis: 2, rows(of: x.height))
  }

  private func rows(of height: Int) -> Range<Int> {
    index * height / count..<((index + 1) * height + count - 1) / count
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let height = x.shape.height, rows = rows(of: height)
    return BandPasses(rows, of: height, y: .plain(Self.taken(rows, of: x.value, nil, run)))
  }

  /// B·x + `addend`.
  fileprivate static func taken(_ rows: Range<Int>, of x: Operand<E>, _ addend: Tensor<E>?, _ run: Run<E>) -> Tensor<E>
  {
    let shape = x.shape
    var epilogue = Epilogue(out: run.context.tensor(Shape(shape.images, rows.count, shape.width, shape.channels)))
    epilogue.addend = addend
    move(x, into: epilogue, run) { image, row in image * shape.height + rows.lowerBound + row }
    return epilogue.out
  }

  /// Lines of x to those of `epilogue`, `source` of image and row, or zeros where it is nil.
  @discardableResult
  fileprivate static func move(
    _ x: Operand<E>, into epilogue: Epilogue<E>, _ run: Run<E>, from source: (Int, Int) -> Int?
  ) -> Sums {
    let context = run.context, shape = epilogue.out.shape, view = x.view(.exact), kernels = context.kernels
    let rowBytes = shape.channels * MemoryLayout<E.Accumulator>.size
    context.workers.work.move(.activations, shape.count * MemoryLayout<E>.size)
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      let image = line / shape.height
      guard let from = source(image, line % shape.height) else {
        memset(rows, 0, rowBytes)
        return 0
      }
      kernels.read(
        view, image: image, pixel: from * shape.width, shape.width, channels: shape.channels, into: rows)
      return shape.channels
    }
    withExtendedLifetime(x) {}
    return sums
  }
}

private final class BandPasses<E: Element>: Passes {
  let y: Feature<E>
  private let rows: Range<Int>, height: Int
  private(set) var storedTangents: [Tensor<E>] = []

  init(_ rows: Range<Int>, of height: Int, y: Feature<E>) { (self.rows, self.height, self.y) = (rows, height, y) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let yDot = Band.taken(rows, of: xDot, v, run)
    storedTangents = [yDot]
    return .plain(yDot)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    let shape = yBar.tensor.shape, rows = rows
    var epilogue = Epilogue(out: run.context.tensor(Shape(shape.images, height, shape.width, shape.channels)))
    epilogue.addend = addend
    epilogue.target = target
    let sums = Band.move(.plain(yBar.tensor), into: epilogue, run) { image, row in
      rows.contains(row) ? image * rows.count + row - rows.lowerBound : nil
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}
