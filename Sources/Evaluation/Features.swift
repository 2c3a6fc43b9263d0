import Tensors

/// Feature vectors, one a row, row-major float32.
package struct FeatureMatrix: Sendable, Equatable {
  /// The number of vectors.
  package let rows: Int
  /// The number of elements of each vector.
  package let columns: Int
  /// (rows, columns)
  package let values: [Float]

  /// - Precondition: `values` holds rows · columns elements.
  package init(rows: Int, columns: Int, values: [Float]) {
    precondition(rows >= 0 && columns >= 0 && values.count == rows * columns)
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  /// These rows followed by the rows of `other`, which has as many columns.
  func appending(_ other: FeatureMatrix) -> FeatureMatrix {
    precondition(columns == other.columns)
    return FeatureMatrix(rows: rows + other.rows, columns: columns, values: values + other.values)
  }

  /// The first row that holds an infinity or a NaN.
  package func firstNonFiniteRow() -> Int? {
    values.withUnsafeBufferPointer { values in
      for index in 0..<values.count where !values[index].isFinite { return index / columns }
      return nil
    }
  }
}

extension FeatureMatrix {
  /// Each row scaled to unit length, a row of zeros as it is: what the cosine compares.
  package var unitRows: FeatureMatrix {
    var scaled = values
    for row in 0..<rows {
      let place = row * columns..<(row + 1) * columns
      let length = scaled[place].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      guard length > 0 else { continue }
      for index in place { scaled[index] = Float(Double(scaled[index]) / length) }
    }
    return FeatureMatrix(rows: rows, columns: columns, values: scaled)
  }
}

/// The features of a query or gallery set with the identity and the camera of each row.
package struct LabelledFeatures: Sendable {
  /// What errors call these features: the file they came from, or "query features".
  package let name: String
  package let matrix: FeatureMatrix
  /// The image of each row.
  package let paths: [String]
  /// The identity of each row; a negative one is junk.
  package let identities: [Int]
  /// The camera of each row.
  package let cameras: [Int]

  /// - Throws: `Failure.internal` if the arrays are not as long as the matrix has rows.
  package init(
    name: String, matrix: FeatureMatrix, paths: [String], identities: [Int], cameras: [Int]
  ) throws {
    guard paths.count == matrix.rows, identities.count == matrix.rows, cameras.count == matrix.rows else {
      throw Failure.internal(
        name,
        "\(matrix.rows) feature rows, but \(paths.count) paths, \(identities.count) identities and "
          + "\(cameras.count) cameras")
    }
    self.name = name
    self.matrix = matrix
    self.paths = paths
    self.identities = identities
    self.cameras = cameras
  }

  /// A bad detection.
  static func isJunk(_ identity: Int) -> Bool { identity < 0 }

  /// Without the rows of junk, which rank nowhere and must not be anyone's neighbour either (`ReRanking`).
  package func withoutJunk() -> LabelledFeatures {
    let kept = identities.indices.filter { !Self.isJunk(identities[$0]) }
    return kept.count == identities.count ? self : rows(kept)
  }

  /// Those rows.
  package func rows(_ rows: [Int]) -> LabelledFeatures {
    let columns = matrix.columns
    return selecting(rows, rows.flatMap { matrix.values[$0 * columns..<($0 + 1) * columns] })
  }

  /// The images of `rows`, with these features of the same length. (rows · columns)
  func selecting(_ rows: [Int], _ values: [Float]) -> LabelledFeatures {
    LabelledFeatures(
      checkedName: name, matrix: FeatureMatrix(rows: rows.count, columns: matrix.columns, values: values),
      paths: rows.map { paths[$0] }, identities: rows.map { identities[$0] }, cameras: rows.map { cameras[$0] })
  }

  /// The labels of `rows`, with vectors of no elements.
  func labels(of rows: [Int]) -> LabelledFeatures {
    LabelledFeatures(
      checkedName: name, matrix: FeatureMatrix(rows: rows.count, columns: 0, values: []),
      paths: rows.map { paths[$0] }, identities: rows.map { identities[$0] }, cameras: rows.map { cameras[$0] })
  }

  /// The same images with other features of the same length. (rows · columns)
  func replacing(_ values: [Float]) -> LabelledFeatures {
    LabelledFeatures(
      checkedName: name, matrix: FeatureMatrix(rows: matrix.rows, columns: matrix.columns, values: values),
      paths: paths, identities: identities, cameras: cameras)
  }

  private init(checkedName: String, matrix: FeatureMatrix, paths: [String], identities: [Int], cameras: [Int]) {
    (name, self.matrix, self.paths) = (checkedName, matrix, paths)
    (self.identities, self.cameras) = (identities, cameras)
  }
}
