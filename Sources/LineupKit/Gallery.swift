import Evaluation

/// What is near to what.
public enum Distance: Sendable {
  /// One minus the cosine of the angle.
  case cosine
  /// The squared Euclidean distance.
  case euclidean

  var metric: DistanceMetric { self == .cosine ? .cosine : .euclidean }
}

/// Embeddings that others are looked up among.
public struct Gallery: Sendable {
  public struct Match: Sendable, Equatable {
    /// Of the gallery.
    public let row: Int
    public let distance: Double
  }

  private let embeddings: LabelledFeatures, distance: Distance
  public var count: Int { embeddings.matrix.rows }

  public init(_ embeddings: Embeddings, by distance: Distance = .cosine) throws(LineupError) {
    self.embeddings = try LineupError.wrapping { try Self.labelled("the gallery", embeddings) }
    self.distance = distance
  }

  private static func labelled(_ name: String, _ embeddings: Embeddings) throws -> LabelledFeatures {
    let rows = embeddings.count
    return try LabelledFeatures(
      name: name, matrix: embeddings.matrix, paths: (0..<rows).map { "row \($0)" },
      identities: [Int](repeating: 0, count: rows), cameras: [Int](repeating: 0, count: rows))
  }

  /// The nearest `count` rows of the gallery for each query, nearest first; of two at the same distance the lower row.
  /// - Throws: `LineupError` of kind `usage` where the queries' length is another than the gallery's.
  public func nearest(_ count: Int, to queries: Embeddings) throws(LineupError) -> [[Match]] {
    guard count >= 0 else { throw LineupError(.usage, "\(count) matches were asked for") }
    guard queries.length == embeddings.matrix.columns || queries.count == 0 else {
      throw LineupError(
        .usage, "the queries have length \(queries.length), the gallery has \(embeddings.matrix.columns)")
    }
    return try LineupError.wrapping {
      let distances = try Distances(
        query: Self.labelled("the queries", queries), gallery: embeddings, metric: distance.metric)
      var found: [[Match]] = []
      distances.forEachRow(of: 0..<queries.count) { _, row in
        found.append(NearestNeighbours.nearest(count, in: row).map { Match(row: Int($0), distance: row[Int($0)]) })
      }
      return found
    }
  }
}
