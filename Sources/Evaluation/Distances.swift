import Tensors

/// Distances of features, block-wise by ‖q − g‖² = ‖q‖² + ‖g‖² − 2 q·g with the products from a GEMM.
///
/// In float32 that sum loses as many digits as the distances are smaller than the norms, and trained features differ
/// little from their common mean. A ranking would then depend on the GEMM, its block sizes and the number of ranks. So:
///
/// - Features (float32) are widened, *centred* on the gallery's mean (which changes no distance) and multiplied in
///   float64. The cosine is half the squared distance of the rows scaled to unit length.
/// - Each distance is rounded to a grid of 2⁻³⁶ of ‖q‖² + ‖g‖² (centred). The order in which a GEMM adds is about 2⁻⁴⁹
///   of it, so copies of one image get one distance, and one order: that of their indices. What the grid merges
///   wrongly differs thousands of times less than the float32 rounding of the features themselves.
///
/// float64 multiplies at half the rate of float32, and the ranking of Market-1501 still takes about a second on one core
/// (`GalleryProducts`).
package struct Distances: DistanceRows, Sendable {
  static let blockRows = GalleryProducts.blockRows
  static let panelRows = GalleryProducts.panelRows

  private let query: CentredFeatures
  private let products: GalleryProducts
  private let metric: DistanceMetric
  private var gallery: CentredFeatures { products.gallery }

  package var queryCount: Int { query.matrix.rows }
  package var galleryCount: Int { gallery.matrix.rows }
  /// The length of a feature vector.
  package var columns: Int { gallery.matrix.columns }

  /// - Throws: `Failure.data` that names the features if they are empty, of different length or not finite.
  package init(query: LabelledFeatures, gallery: LabelledFeatures, metric: DistanceMetric) throws {
    try Self.check(query, gallery)
    self.init(query: query.matrix, gallery: gallery.matrix, metric: metric)
  }

  /// - Throws: `Failure.data` that names the features if they are empty, of different length or not finite.
  static func check(_ query: LabelledFeatures, _ gallery: LabelledFeatures) throws {
    for features in [query, gallery] {
      guard features.matrix.rows > 0, features.matrix.columns > 0 else {
        throw Failure.data(features.name, "holds no features")
      }
      if let row = features.matrix.firstNonFiniteRow() {
        throw Failure.data(features.name, "row \(row) (counted from 0) holds an infinity or a NaN")
      }
    }
    guard query.matrix.columns == gallery.matrix.columns else {
      throw Failure.data(
        query.name,
        "vectors of \(query.matrix.columns) elements, but those of \(gallery.name) have "
          + "\(gallery.matrix.columns)")
    }
  }

  /// - Precondition: the matrices are not empty, finite, and have as many columns as each other.
  init(query: FeatureMatrix, gallery: FeatureMatrix, metric: DistanceMetric) {
    precondition(query.columns == gallery.columns && gallery.rows > 0)
    let scales = CentredFeatures.scales(of: gallery, metric)
    let centre = CentredFeatures.mean(of: gallery, scales)
    products = GalleryProducts(CentredFeatures(gallery, scales: scales, centre: centre))
    self.query = CentredFeatures(query, scales: CentredFeatures.scales(of: query, metric), centre: centre)
    self.metric = metric
  }

  package func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void) {
    forEachProducts(of: queries) { query, row in
      finish(row.baseAddress!, query: query)
      body(query, UnsafeBufferPointer(row))
    }
  }

  /// Rows of this metric and, from the same products, of the other one (`OtherDistances`).
  func forEachRow(
    of queries: Range<Int>, and other: OtherDistances,
    _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>, _ other: UnsafeBufferPointer<Double>) -> Void
  ) {
    let others = UnsafeMutableBufferPointer<Double>.allocate(capacity: galleryCount)
    defer { others.deallocate() }
    forEachProducts(of: queries) { query, row in
      other.write(query: query, products: UnsafeBufferPointer(row), to: others)
      finish(row.baseAddress!, query: query)
      body(query, UnsafeBufferPointer(row), UnsafeBufferPointer(others))
    }
  }

  /// Distances of the other metric of these features.
  func other() -> OtherDistances { OtherDistances(query: query, gallery: gallery, metric: metric.other) }

  /// Rows of −2 q·g of the centred features.
  private func forEachProducts(
    of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeMutableBufferPointer<Double>) -> Void
  ) {
    precondition(queries.lowerBound >= 0 && queries.upperBound <= queryCount)
    products.forEachRow(
      of: queries,
      write: { part, left in
        query.write(part, to: left)
        for index in 0..<part.count * columns { left[index] *= -2 }
      }, body)
  }

  /// −2 q·g → the distance on its grid, for the whole gallery.
  private func finish(_ products: UnsafeMutablePointer<Double>, query index: Int) {
    let norm = query.squaredNorms[index]
    let half = metric == .cosine ? 0.5 : 1
    gallery.squaredNorms.withUnsafeBufferPointer { norms in
      for column in 0..<norms.count {
        let sum = norm + norms[column]
        let distance = max(0, sum + products[column])
        let grid = CentredFeatures.gridFactor * sum
        products[column] = ((distance + grid) - grid) * half
      }
    }
  }

  /// One distance, from the difference of the two vectors.
  func distance(query row: Int, gallery other: Int) -> Double {
    let (squared, sum) = query.squaredDistance(row, gallery, other)
    let grid = CentredFeatures.gridFactor * sum
    return ((squared + grid) - grid) * (metric == .cosine ? 0.5 : 1)
  }
}
