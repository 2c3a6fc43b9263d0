import Kernels
import Tensors

/// A matrix of doubles that belongs to one image: the pixels of a map by its channels, or what is made of such matrices.
struct ImageMatrix {
  let rows: Int, columns: Int
  private let values: Buffer<Double>
  /// From one row, or column, to the next.
  private let rowStride: Int, columnStride: Int

  init(_ values: Buffer<Double>, rows: Int, columns: Int, rowStride: Int, columnStride: Int = 1) {
    (self.values, self.rows, self.columns) = (values, rows, columns)
    (self.rowStride, self.columnStride) = (rowStride, columnStride)
  }

  /// The pixels (rows) of an image and their channels (columns), as they are read, times `factor`.
  init<E: Element>(_ operand: Operand<E>, image: Int, times factor: Double = 1, _ kernels: Kernels<E>) {
    let shape = operand.shape, count = shape.area * shape.channels
    let accumulators = Buffer<E.Accumulator>(count: count), values = Buffer<Double>(count: count)
    kernels.read(
      operand.view(.exact), image: image, pixel: image * shape.area, shape.area, channels: shape.channels,
      into: accumulators.pointer)
    SumConversion.widen(accumulators.pointer, count: count, to: values.pointer)
    withExtendedLifetime(operand) {}
    self.init(values, rows: shape.area, columns: shape.channels, rowStride: shape.channels)
    if factor != 1 { scale(by: factor) }
  }

  /// Of rows that `fill` writes.
  init(rows: Int, columns: Int, _ fill: (_ row: Int, _ into: UnsafeMutablePointer<Double>) -> Void) {
    let values = Buffer<Double>(count: rows * columns)
    for row in 0..<rows { fill(row, values.pointer + row * columns) }
    self.init(values, rows: rows, columns: columns, rowStride: columns)
  }

  static func constant(_ value: Double, rows: Int, columns: Int) -> ImageMatrix {
    ImageMatrix(rows: rows, columns: columns) { _, row in row.update(repeating: value, count: columns) }
  }

  /// Row after row.
  var array: [Double] { (0..<rows).flatMap(row) }

  func row(_ index: Int) -> [Double] {
    [Double](unsafeUninitializedCapacity: columns) { row, count in
      copy(index, to: row.baseAddress!)
      count = columns
    }
  }

  private func copy(_ row: Int, to target: UnsafeMutablePointer<Double>) {
    let start = values.pointer + row * rowStride, step = columnStride
    if step == 1 { return target.update(from: start, count: columns) }
    for i in 0..<columns { target[i] = start[i * step] }
  }

  /// a + b
  static func sum(_ a: ImageMatrix, _ b: ImageMatrix) -> ImageMatrix {
    precondition(a.rows == b.rows && a.columns == b.columns)
    return ImageMatrix(rows: a.rows, columns: a.columns) { row, sum in
      a.copy(row, to: sum)
      let other = b.values.pointer + row * b.rowStride
      for i in 0..<b.columns { sum[i] += other[i * b.columnStride] }
    }
  }

  func scaled(by factor: Double) -> ImageMatrix {
    ImageMatrix(rows: rows, columns: columns) { row, scaled in
      copy(row, to: scaled)
      for i in 0..<columns { scaled[i] *= factor }
    }
  }

  var transposed: ImageMatrix {
    ImageMatrix(values, rows: columns, columns: rows, rowStride: columnStride, columnStride: rowStride)
  }

  /// In place.
  func scale(by factor: Double) {
    for i in 0..<values.count { values.pointer[i] *= factor }
  }

  /// a·b, or a₁·b₁ + a₂·b₂ + …, summed in that order by the GEMM of the kernels' path.
  static func product(_ factors: (ImageMatrix, ImageMatrix)..., by gemm: Gemm) -> ImageMatrix {
    let rows = factors[0].0.rows, columns = factors[0].1.columns
    // A GEMM writes whole panels.
    let ld = gemm.padded(columns: columns), out = Buffer<Double>(count: rows * ld)
    for (index, (a, b)) in factors.enumerated() {
      precondition(a.rows == rows && b.columns == columns && a.columns == b.rows)
      let depth = b.rows, left = a.withDenseRows
      let panels = Buffer<UInt8>(count: gemm.panelBytes(columns: columns, rows: depth))
      let workspace = Buffer<UInt8>(count: gemm.workspaceBytes(rows: rows, columns: columns, depth: depth))
      gemm.pack(
        b.values.pointer, depth, columns, rowStride: b.rowStride, columnStride: b.columnStride,
        width: gemm.panelWidth(columns: columns), panelRows: depth, row: 0, into: panels.pointer)
      let pointers = (0..<rows).map { UnsafeRawPointer(left.values.pointer + $0 * left.rowStride) as UnsafeRawPointer? }
      pointers.withUnsafeBufferPointer {
        gemm.multiply(
          .init($0.baseAddress!, count: rows, offset: 0, plane: 0), .init(panels.pointer, rows: depth),
          columns: columns,
          depth: depth, accumulates: index > 0, into: out.pointer, ld: ld, workspace: workspace.pointer)
      }
      withExtendedLifetime((left.values, panels, workspace)) {}
    }
    return ImageMatrix(out, rows: rows, columns: columns, rowStride: ld)
  }

  /// The same with the elements of a row side by side.
  private var withDenseRows: ImageMatrix {
    guard columnStride != 1 else { return self }
    return ImageMatrix(rows: rows, columns: columns) { row, dense in copy(row, to: dense) }
  }

  /// Writes the pixels of an image, rounded to storage.
  func store<E: Element>(to tensor: Tensor<E>, image: Int, _ kernels: Kernels<E>) {
    precondition(rows == tensor.shape.area && columns == tensor.shape.channels)
    let dense = withDenseRows
    for row in 0..<rows {
      kernels.narrow(
        dense.values.pointer + row * dense.rowStride, columns,
        into: tensor.pointer + (image * tensor.shape.area + row) * columns)
    }
    withExtendedLifetime(dense.values) {}
  }
}
