import Evaluation

/// Embeddings, a row an image.
public struct Embeddings: Sendable, Equatable {
  let matrix: FeatureMatrix

  public var count: Int { matrix.rows }
  public var length: Int { matrix.columns }
  /// All rows, one after the other.
  public var values: [Float] { matrix.values }

  /// - Throws: `LineupError` of kind `usage` where `values` are not count × length finite numbers.
  public init(count: Int, length: Int, values: [Float]) throws(LineupError) {
    guard count >= 0, length > 0, values.count == count * length else {
      throw LineupError(.usage, "\(values.count) values are not \(count) embeddings of length \(length)")
    }
    matrix = FeatureMatrix(rows: count, columns: length, values: values)
    if let row = matrix.firstNonFiniteRow() { throw LineupError(.usage, "embedding \(row) is not finite") }
  }

  init(checked matrix: FeatureMatrix) { self.matrix = matrix }

  public subscript(row: Int) -> ArraySlice<Float> { values[row * length..<(row + 1) * length] }
}
