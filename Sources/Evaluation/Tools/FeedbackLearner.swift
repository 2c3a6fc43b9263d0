/// What a `FeedbackMethod` remembers of a block of queries, and the rankings that follow from it.
struct FeedbackLearner {
  private let method: FeedbackMethod
  private let settings: Feedback
  private let space: FeedbackSpace
  /// By query of the block. With the relevance score, distances of the gallery to the nearest of R and N; else the query,
  /// which becomes w.
  private var states: [State] = []

  private struct State {
    var vector: [Double] = []
    var nearestRelevant: [Double] = [], nearestNonRelevant: [Double] = []
  }

  init(_ method: FeedbackMethod, _ settings: Feedback, _ space: FeedbackSpace) {
    (self.method, self.settings, self.space) = (method, settings, space)
  }

  /// - Parameter rows: distances of the gallery to the queries, by the metric.
  mutating func begin(_ queries: Range<Int>, _ rows: [[Double]]) {
    states = zip(queries, rows).map { query, row in
      switch method {
      case .queryShift, .passiveAggressive: State(vector: space.query.vector(query))
      case .relevanceScore:
        State(nearestRelevant: row, nearestNonRelevant: [Double](repeating: .infinity, count: row.count))
      }
    }
  }

  /// Ranks the gallery anew for the queries `slots` of the block, which have new labels: `rows` of theirs become numbers
  /// that ascend as images rank, all finite.
  mutating func learn(_ slots: [Int], _ labels: [FeedbackLabels], into rows: inout [[Double]]) {
    switch method {
    case .queryShift:
      let shifted = slots.map { shift(states[$0].vector, labels[$0]) }
      space.forEachRow(of: shifted, by: space.metric == .cosine ? .product : .distance) { rows[slots[$0]] = Array($1) }
    case .passiveAggressive:
      for slot in slots { step(&states[slot].vector, labels[slot]) }
      space.forEachRow(of: slots.map { states[$0].vector }, by: .product) { rows[slots[$0]] = Array($1) }
    case .relevanceScore:
      addNeighbours(slots, labels)
      for slot in slots { rows[slot] = relevanceScores(states[slot]) }
    }
  }

  /// q + β·mean R − γ·mean N.
  private func shift(_ query: [Double], _ labels: FeedbackLabels) -> [Double] {
    var shifted = query
    for (rows, weight) in [(labels.relevant, settings.beta), (labels.nonRelevant, -settings.gamma)] where !rows.isEmpty
    {
      var sum = [Double](repeating: 0, count: query.count)
      for row in rows { add(space.gallery.vector(row), times: 1, to: &sum) }
      add(sum, times: weight / Double(rows.count), to: &shifted)
    }
    return shifted
  }

  /// The passive-aggressive steps of the new pairs.
  private func step(_ w: inout [Double], _ labels: FeedbackLabels) {
    labels.forEachNewPair { one, other in
      var difference = space.gallery.vector(one)
      add(space.gallery.vector(other), times: -1, to: &difference)
      var margin = 0.0, square = 0.0
      for (w, d) in zip(w, difference) {
        margin += w * d
        square += d * d
      }
      // Copies of one image have nothing to say.
      guard margin < 1, square > 0 else { return }
      add(difference, times: min(settings.aggressiveness, (1 - margin) / square), to: &w)
    }
  }

  private func add(_ values: [Double], times factor: Double, to sum: inout [Double]) {
    for index in sum.indices { sum[index] += factor * values[index] }
  }

  /// The nearest of R and N with the labels of this round; images that several queries have labelled are multiplied once.
  private mutating func addNeighbours(_ slots: [Int], _ labels: [FeedbackLabels]) {
    var users: [Int: [(slot: Int, isRelevant: Bool)]] = [:]
    for slot in slots {
      for row in labels[slot].newRelevant { users[row, default: []].append((slot, true)) }
      for row in labels[slot].newNonRelevant { users[row, default: []].append((slot, false)) }
    }
    let images = users.keys.sorted()
    space.forEachRow(of: images.map(space.gallery.vector), by: .distance) { index, row in
      for (slot, isRelevant) in users[images[index]]! {
        if isRelevant {
          lower(&states[slot].nearestRelevant, to: row)
        } else {
          lower(&states[slot].nearestNonRelevant, to: row)
        }
      }
    }
  }

  private func lower(_ distances: inout [Double], to row: UnsafeMutableBufferPointer<Double>) {
    for column in distances.indices { distances[column] = min(distances[column], row[column]) }
  }

  /// −s, or the distance to the nearest of R where there is no N. An image at no distance from both is in the middle.
  private func relevanceScores(_ state: State) -> [Double] {
    zip(state.nearestRelevant, state.nearestNonRelevant).map { relevant, nonRelevant in
      if nonRelevant == .infinity { return relevant }
      let sum = relevant + nonRelevant
      return sum > 0 ? -nonRelevant / sum : -0.5
    }
  }
}

/// A gallery as a metric sees it, ranked for vectors that only come about as labels do.
struct FeedbackSpace: Sendable {
  enum Order {
    /// By the metric's distance to the vector.
    case distance
    /// By −v·x.
    case product
  }

  let metric: DistanceMetric
  let query: CentredFeatures
  private let products: GalleryProducts
  var gallery: CentredFeatures { products.gallery }

  init(query: FeatureMatrix, gallery: FeatureMatrix, metric: DistanceMetric) {
    let scales = CentredFeatures.scales(of: gallery, metric), centre = CentredFeatures.mean(of: gallery, scales)
    self.metric = metric
    self.query = CentredFeatures(query, scales: CentredFeatures.scales(of: query, metric), centre: centre)
    products = GalleryProducts(CentredFeatures(gallery, scales: scales, centre: centre))
  }

  /// Calls `body` for each of `vectors` with numbers that ascend as the gallery ranks, on a grid as in `Distances`. With
  /// `.product` −v·μ is left out, which is the same for all images.
  ///
  /// - Parameter vectors: scaled as the features are, and not centred. (columns)
  func forEachRow(
    of vectors: [[Double]], by order: Order, _ body: (_ index: Int, _ row: UnsafeMutableBufferPointer<Double>) -> Void
  ) {
    let centre = gallery.centre, isDistance = order == .distance
    let lefts = isDistance ? vectors.map { zip($0, centre).map { $0 - $1 } } : vectors
    let factor = isDistance ? -2.0 : -1, half = metric == .cosine ? 0.5 : 1
    products.forEachRow(of: 0..<vectors.count) { part, left in
      for (row, index) in part.enumerated() {
        for column in centre.indices { left[row * centre.count + column] = factor * lefts[index][column] }
      }
    } _: { index, row in
      let square = lefts[index].reduce(0) { $0 + $1 * $1 }
      gallery.squaredNorms.withUnsafeBufferPointer { norms in
        switch order {
        case .distance:
          for column in 0..<norms.count {
            let sum = square + norms[column], grid = CentredFeatures.gridFactor * sum
            row[column] = ((max(0, sum + row[column]) + grid) - grid) * half
          }
        case .product:
          for column in 0..<norms.count {
            let grid = 2 * CentredFeatures.gridFactor * (square * norms[column]).squareRoot()
            row[column] = (row[column] + grid) - grid
          }
        }
      }
      body(index, row)
    }
  }
}
