import Kernels
import Tensors

/// A matrix of an image, and its derivative along a direction where there is one: products and maps of rows of such matrices
/// carry both, so that a pass that is written over them gives its own tangent (as `Dual` does for losses).
struct DualMatrix {
  let value: ImageMatrix
  /// nil: a constant.
  let tangent: ImageMatrix?

  init(_ value: ImageMatrix, tangent: ImageMatrix? = nil) { (self.value, self.tangent) = (value, tangent) }

  var rows: Int { value.rows }
  var columns: Int { value.columns }
  var transposed: DualMatrix { DualMatrix(value.transposed, tangent: tangent?.transposed) }

  /// a·b
  static func product(_ a: DualMatrix, _ b: DualMatrix, by gemm: Gemm) -> DualMatrix {
    let value = ImageMatrix.product((a.value, b.value), by: gemm)
    let tangent: ImageMatrix? =
      switch (a.tangent, b.tangent) {
      case (nil, nil): nil
      case (let aDot?, nil): .product((aDot, b.value), by: gemm)
      case (nil, let bDot?): .product((a.value, bDot), by: gemm)
      case (let aDot?, let bDot?): .product((aDot, b.value), (a.value, bDot), by: gemm)
      }
    return DualMatrix(value, tangent: tangent)
  }

  /// a + b
  static func sum(_ a: DualMatrix, _ b: DualMatrix) -> DualMatrix {
    let tangent: ImageMatrix? =
      switch (a.tangent, b.tangent) {
      case (let aDot?, let bDot?): .sum(aDot, bDot)
      case (let dot?, nil), (nil, let dot?): dot
      case (nil, nil): nil
      }
    return DualMatrix(.sum(a.value, b.value), tangent: tangent)
  }

  /// Each row from the same row of each matrix.
  static func mapRows(_ matrices: [DualMatrix], by map: some RowMap) -> DualMatrix {
    let rows = matrices[0].rows
    guard matrices.contains(where: { $0.tangent != nil }) else {
      let first = map(matrices.map { $0.value.row(0) })
      return DualMatrix(
        ImageMatrix(rows: rows, columns: first.count) { row, into in
          let result = row == 0 ? first : map(matrices.map { $0.value.row(row) })
          result.withUnsafeBufferPointer { into.update(from: $0.baseAddress!, count: $0.count) }
        })
    }
    let first = map(matrices.map { $0.row(0) }), columns = first.count
    let tangents = Buffer<Double>(count: rows * columns)
    let value = ImageMatrix(rows: rows, columns: columns) { row, into in
      let result = row == 0 ? first : map(matrices.map { $0.row(row) }), tangent = tangents.pointer + row * columns
      for i in 0..<columns { (into[i], tangent[i]) = (result[i].value, result[i].tangent) }
    }
    return DualMatrix(value, tangent: ImageMatrix(tangents, rows: rows, columns: columns, rowStride: columns))
  }

  /// Row `index` as dual numbers.
  func row(_ index: Int) -> [Dual] {
    let values = value.row(index)
    guard let tangents = tangent?.row(index) else { return values.map { Dual($0) } }
    return zip(values, tangents).map { Dual($0, $1) }
  }

  /// Value and derivative together: what a pass of the regularized loss hands down, where the derivative counts as it is.
  var whole: ImageMatrix { tangent.map { ImageMatrix.sum(value, $0) } ?? value }

  /// Σ a∘b over all elements.
  static func dot(_ a: DualMatrix, _ b: DualMatrix) -> Dual {
    var sum = Dual(0)
    for row in 0..<a.rows { for (x, y) in zip(a.row(row), b.row(row)) { sum += x * y } }
    return sum
  }

  func scaled(by factor: Double) -> DualMatrix {
    DualMatrix(value.scaled(by: factor), tangent: tangent?.scaled(by: factor))
  }
}

/// From rows of matrices to a row, for either kind of number.
protocol RowMap {
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S]
}

/// P = softmax of each row of S, without overflow.
struct SoftmaxRows: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    var largest = -Double.infinity
    for x in rows[0] { largest = max(largest, x.value) }
    // Loops of their own: an operator that is handed on is called through a table.
    let most = S(largest)
    var powers = rows[0], sum = S(0)
    for i in powers.indices {
      powers[i] = (powers[i] - most).exponential()
      sum += powers[i]
    }
    let inverse = S(1) / sum
    for i in powers.indices { powers[i] = powers[i] * inverse }
    return powers
  }
}

/// S̄ = P∘(P̄ − rowsum(P̄∘P)) from P̄ and P.
struct SoftmaxBars: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    var along = S(0)
    for (bar, p) in zip(rows[0], rows[1]) { along += bar * p }
    var bars = rows[0]
    for i in bars.indices { bars[i] = (bars[i] - along) * rows[1][i] }
    return bars
  }
}
