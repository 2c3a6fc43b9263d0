/// The metric that was not asked for, from the products of the one that was: a second product of all queries with the whole
/// gallery would double the time.
///
/// With p = x·μ of the scaled features x and their centre μ, q·g = (q − μ)·(g − μ) + p_q + p_g − ‖μ‖². Products of features
/// scaled to unit length are cosines, those of others become cosines by the norms, and
/// ‖q − g‖² = ‖q‖² + ‖g‖² − 2 ‖q‖‖g‖ cos. Centring gains nothing here: the error is about 2⁻⁵⁰ of ‖q‖² + ‖g‖² (of 1, for
/// the cosine), and distances are rounded to a grid of 2⁻³⁷ to 2⁻³⁶ of it, which is below the rounding of features to
/// float32 unless they are nearly alike. As with `Distances`, copies of one image get one distance.
struct OtherDistances: Sendable {
  private let metric: DistanceMetric
  private let query: (products: [Double], norms: [Double])
  private let gallery: (products: [Double], norms: [Double])
  private let centreSquare: Double
  /// 1/‖g‖, and 0 for a vector of zeros, whose distance is 1 then. (gallery)
  private let inverses: [Double]

  /// - Parameters:
  ///   - query, gallery: scaled and centred for the other metric than `metric`.
  init(query: CentredFeatures, gallery: CentredFeatures, metric: DistanceMetric) {
    self.metric = metric
    self.query = query.centreProducts()
    self.gallery = gallery.centreProducts()
    centreSquare = gallery.centreSquare
    inverses = self.gallery.norms.map { $0 > 0 ? 1 / $0 : 0 }
  }

  /// The distances of a query to the whole gallery.
  /// - Parameter products: −2 (q − μ)·(g − μ). (gallery)
  func write(query index: Int, products: UnsafeBufferPointer<Double>, to row: UnsafeMutableBufferPointer<Double>) {
    let offset = query.products[index] - centreSquare, norm = query.norms[index]
    gallery.products.withUnsafeBufferPointer { others in
      (metric == .cosine ? inverses : gallery.norms).withUnsafeBufferPointer { norms in
        switch metric {
        case .cosine:
          let inverse = norm > 0 ? 1 / norm : 0
          for column in 0..<row.count {
            let dot = offset + others[column] - 0.5 * products[column]
            let distance = max(0, 1 - dot * inverse * norms[column])
            row[column] = (distance + CentredFeatures.gridFactor) - CentredFeatures.gridFactor
          }
        case .euclidean:
          for column in 0..<row.count {
            let other = norms[column], sum = norm * norm + other * other
            let cosine = offset + others[column] - 0.5 * products[column]
            let distance = max(0, sum - 2 * norm * other * cosine), grid = CentredFeatures.gridFactor * sum
            row[column] = (distance + grid) - grid
          }
        }
      }
    }
  }
}
