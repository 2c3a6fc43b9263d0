/// What is near to what. Rows of `Distances` order the gallery by it, ascending.
package enum DistanceMetric: String, CaseIterable, Sendable {
  /// The squared Euclidean distance ‖q − g‖² (which orders as the distance does).
  case euclidean
  /// One minus the cosine of the angle, 1 − q·g / (‖q‖‖g‖). A vector of zeros is at distance 1 from every other.
  case cosine

  package var other: DistanceMetric { self == .cosine ? .euclidean : .cosine }
}

/// Distances of queries to the whole gallery, one query at a time: nobody holds the whole matrix.
package protocol DistanceRows {
  /// Queries are 0 ..< queryCount.
  var queryCount: Int { get }
  /// Each row has this many distances.
  var galleryCount: Int { get }
  /// Calls `body(query, distances to every gallery image)` for each of `queries`, ascending, on the caller's thread.
  /// The buffer is valid only during the call.
  func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void)
}
