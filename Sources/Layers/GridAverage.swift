import Tensors

/// Means over the cells of a grid, as PyTorch's adaptive average pooling: n×h×w×c → n×g×k×c.
///
///     y[i, j] = the mean of x over the rows ⌊i·h/g⌋ to ⌈(i + 1)·h/g⌉ and the columns likewise, by k
///     x̄[r, q] = Σ of ȳ[i, j]/size[i, j] over the cells that have the pixel; neighbours share some where h is no multiple of g
///
/// Linear: its tangent passes are these two again. A grid of 1 is the mean over the pixels.
///
/// x as it is read, y stored. Precision: float64, rounded to an accumulator and stored. Collectives: none.
package final class GridAverage<E: Element>: Layer {
  private let rows: Int, columns: Int

  /// `cells`: g and k.
  package convenience init(cells: Int) { self.init(rows: cells, columns: cells) }

  /// `rows`: g; `columns`: k.
  package init(rows: Int, columns: Int) {
    precondition(rows > 0 && columns > 0)
    (self.rows, self.columns) = (rows, columns)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    if rows == 1 && columns == 1 { return graph.means(x) }
    if x.height % rows == 0 && x.width % columns == 0 {
      return graph.windowMeans(x, rows: x.height / rows, columns: x.width / columns)
    }
    // Cells that share pixels are a product with a matrix from each side.
    let grid = Grid(Shape(1, x.height, x.width, x.channels), rows: rows, columns: columns)
    let left = grid.rowMeans(in: graph), right = grid.columnMeans(in: graph)
    let lines = graph.add("MatMul", [left, x.name], extent: [x.channels, rows, x.width])
    return graph.add("MatMul", [lines.name, right], extent: [x.channels, rows, columns])
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let grid = Grid(x.shape, rows: rows, columns: columns)
    return GridPasses(grid, y: grid.means(x.value, adding: nil, run.context))
  }
}

/// Which pixels the cells of a grid have.
private struct Grid {
  let input: Shape, output: Shape
  /// Of each cell, from the first on.
  private let rows: [Range<Int>], columns: [Range<Int>]

  init(_ input: Shape, rows cellRows: Int, columns cellColumns: Int) {
    func ranges(_ length: Int, _ cells: Int) -> [Range<Int>] {
      (0..<cells).map { $0 * length / cells..<(($0 + 1) * length + cells - 1) / cells }
    }
    (rows, columns) = (ranges(input.height, cellRows), ranges(input.width, cellColumns))
    (self.input, output) = (input, Shape(input.images, cellRows, cellColumns, input.channels))
  }

  /// The matrix that makes means of rows, g × h, and that of columns, w × k: names of constants.
  func rowMeans(in graph: InferenceGraph) -> String {
    graph.constant("means.rows.\(output.height)x\(input.height)", [output.height, input.height]) {
      .numbers(rows.flatMap { cell in (0..<input.height).map { cell.contains($0) ? 1 / Double(cell.count) : 0 } })
    }
  }

  func columnMeans(in graph: InferenceGraph) -> String {
    graph.constant("means.columns.\(input.width)x\(output.width)", [input.width, output.width]) {
      .numbers((0..<input.width).flatMap { at in columns.map { $0.contains(at) ? 1 / Double($0.count) : 0 } })
    }
  }

  /// Stored, plus `addend`.
  func means<E: Element>(_ x: Operand<E>, adding addend: Tensor<E>?, _ context: Context<E>) -> Tensor<E> {
    var epilogue = Epilogue(out: context.tensor(output))
    epilogue.addend = addend
    let view = x.view(.exact), kernels = context.kernels, channels = input.channels, input = input
    context.workers.work.move(.activations, x.bytes)
    _ = RowStore.run(epilogue, lines: output.images * output.height, columns: output.width, context) { line, out in
      let image = line / output.height, cellRows = rows[line % output.height]
      withUnsafeTemporaryAllocation(of: E.Accumulator.self, capacity: input.width * channels) { pixels in
        withUnsafeTemporaryAllocation(of: Double.self, capacity: (output.width + 1) * channels) { scratch in
          let sums = scratch.baseAddress!, values = sums + output.width * channels
          sums.update(repeating: 0, count: output.width * channels)
          for row in cellRows {
            kernels.read(
              view, image: image, pixel: image * input.area + row * input.width, input.width, channels: channels,
              into: pixels.baseAddress!)
            for (cell, range) in columns.enumerated() {
              for column in range {
                SumConversion.widen(pixels.baseAddress! + column * channels, count: channels, to: values)
                for i in 0..<channels { sums[cell * channels + i] += values[i] }
              }
            }
          }
          for (cell, range) in columns.enumerated() {
            let inverse = 1 / Double(cellRows.count * range.count)
            for i in cell * channels..<(cell + 1) * channels { sums[i] *= inverse }
          }
          SumConversion.narrow(sums, count: output.width * channels, to: out)
        }
      }
      return channels
    }
    withExtendedLifetime(x) {}
    return epilogue.out
  }

  /// x̄ + `addend`, finished by `target`.
  func spread<E: Element>(
    _ yBar: Tensor<E>, adding addend: Tensor<E>?, _ target: GradientTarget<E>, _ context: Context<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: context.tensor(input))
    epilogue.addend = addend
    epilogue.target = target
    let kernels = context.kernels, channels = input.channels, input = input, output = output
    context.workers.work.move(.activations, yBar.bytes)
    let sums = RowStore.run(epilogue, lines: input.images * input.height, columns: input.width, context) { line, out in
      let image = line / input.height, row = line % input.height
      withUnsafeTemporaryAllocation(of: Double.self, capacity: (input.width + output.width) * channels) { scratch in
        let bars = scratch.baseAddress!, cells = bars + input.width * channels
        bars.update(repeating: 0, count: input.width * channels)
        for (cellRow, cellRows) in rows.enumerated() where cellRows.contains(row) {
          kernels.widen(
            yBar.pointer + (image * output.area + cellRow * output.width) * channels, output.width * channels,
            into: cells)
          for (cell, range) in columns.enumerated() {
            let inverse = 1 / Double(cellRows.count * range.count)
            for column in range {
              for i in 0..<channels { bars[column * channels + i] += cells[cell * channels + i] * inverse }
            }
          }
        }
        SumConversion.narrow(bars, count: input.width * channels, to: out)
      }
      return channels
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
}

private final class GridPasses<E: Element>: Passes {
  let y: Feature<E>
  private let grid: Grid
  private(set) var storedTangents: [Tensor<E>] = []

  init(_ grid: Grid, y: Tensor<E>) { (self.grid, self.y) = (grid, .plain(y)) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    storedTangents = [grid.means(xDot, adding: v, run.context)]
    return .plain(storedTangents[0])
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    grid.spread(yBar.tensor, adding: addend, target, run.context)
  }
}
