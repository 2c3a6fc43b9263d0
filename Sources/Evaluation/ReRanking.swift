import Foundation
import Tensors

/// Re-ranking with k-reciprocal encoding (Zhong, Zheng, Cao, Li: "Re-ranking Person Re-identification with k-reciprocal
/// Encoding", CVPR 2017), with sparse neighbour lists: memory grows with N · k, not with N², where N counts queries and
/// gallery images together.
///
/// As in the authors' code (`re_ranking`, which torchreid and others carry):
///
/// - d(p, i): the squared Euclidean distance (with `.cosine`, of the vectors scaled to unit length), divided by the
///   largest d(p, ·) over all N.
/// - R(p, k): the k-reciprocal neighbours. R*(p): R(p, k1), joined with R(c, k1/2) of each c in it of which more than
///   two thirds are in R(p, k1) (Eq. 3).
/// - V(p): exp(−d(p, i)) for i in R*(p), scaled to the sum 1 (Eq. 7); then the mean of V over the first k2 neighbours
///   of p, itself among them (Eq. 11).
/// - Jaccard distance: 1 − S / (2 − S) with S = Σᵢ min(V(p)ᵢ, V(g)ᵢ) (Eq. 10).
/// - The final distance: (1 − λ) · Jaccard + λ · d (Eq. 12).
///
/// That code leaves the order of equal distances open; here the smaller index goes first (queries before the gallery).
/// What `d` is differs among tools: torchreid hands squared distances to the code and they are squared once more, which
/// changes weights and results a little.
package struct ReRanking: DistanceRows, Sendable {
  package struct Settings: Codable, Sendable, Equatable {
    /// Neighbours of which the reciprocal ones are taken.
    package let k1: Int
    /// Neighbours whose encodings are averaged; 1 leaves each as it is.
    package let k2: Int
    /// The share of the original distance, from 0 to 1.
    package let lambda: Double

    /// The defaults are the authors'.
    ///
    /// - Throws: `Failure.usage` for a value out of range.
    package init(k1: Int = 20, k2: Int = 6, lambda: Double = 0.3) throws {
      guard k1 >= 1 else { throw Failure.usage("re-ranking: k1 = \(k1) is not positive") }
      guard k2 >= 1 else { throw Failure.usage("re-ranking: k2 = \(k2) is not positive") }
      guard (0...1).contains(lambda) else { throw Failure.usage("re-ranking: lambda = \(lambda) is not within 0 … 1") }
      (self.k1, self.k2, self.lambda) = (k1, k2, lambda)
    }

    /// k1 / 2, rounded to even as the authors' `np.around` does.
    fileprivate var halfK1: Int { Int((Double(k1) / 2).rounded(.toNearestOrEven)) }
  }

  package let queryCount: Int
  package let galleryCount: Int
  /// Among queries and gallery, in this order.
  private let distances: Distances
  private let farthest: [Double]
  private let lambda: Double
  /// V by rows, of which only the queries' are kept in use, and by columns for the gallery. (N, N)
  private let encodings: SparseRows
  private let galleryEncodings: SparseColumns

  /// Finds the neighbours and encodes them: N² distances, the larger part of the time, of which each process of `shares`
  /// takes its rows. The result has the same bits for any number of them.
  ///
  /// - Throws: `Failure.data` if features are empty, not finite or of different length, and what `shares` throws.
  package init(
    query: LabelledFeatures, gallery: LabelledFeatures, metric: DistanceMetric, parameters: Settings,
    shares: some RowShares = WholeShare(), parallelFor: ParallelFor = runSerially
  ) throws {
    try Distances.check(query, gallery)
    let all = query.matrix.appending(gallery.matrix)
    let distances = Distances(query: all, gallery: all, metric: metric)
    let neighbours = try NearestNeighbours(
      distances, count: max(parameters.k1 + 1, parameters.k2), shares: shares, parallelFor: parallelFor)

    let own = try SparseRows(rows: all.rows, shares: shares, parallelFor: parallelFor) { row in
      Self.encoding(of: row, neighbours, distances, parameters)
    }
    encodings =
      parameters.k2 == 1
      ? own
      : try SparseRows(rows: all.rows, shares: shares, parallelFor: parallelFor) { row in
        Self.mean(of: own, over: neighbours.neighbours(of: row, parameters.k2))
      }
    queryCount = query.matrix.rows
    galleryCount = gallery.matrix.rows
    galleryEncodings = SparseColumns(encodings, rows: queryCount..<all.rows, columnCount: all.rows)
    self.distances = distances
    farthest = neighbours.farthest
    lambda = parameters.lambda
  }

  /// The most bytes that re-ranking `images` (queries and gallery) takes, before it starts. Encodings are rarely more
  /// than a fourth as long as they can be at most, so it usually takes much less.
  ///
  /// - Parameters:
  ///   - columns: the length of a feature vector.
  ///   - threads: how many jobs `parallelFor` runs at a time.
  package static func memoryEstimate(images: Int, columns: Int, parameters: Settings, threads: Int = 1) -> Int {
    let features = images * (4 * columns + 32)
    let neighbours = 2 * images * (4 * max(parameters.k1 + 1, parameters.k2) + 8)
    // A candidate joins with at most half k1 + 1 images, of which less than a third are new.
    let encoding = min(images, (parameters.k1 + 1) * ((parameters.halfK1 + 3) / 3))
    let mean = min(images, encoding * parameters.k2)
    // 12 bytes an entry; own encodings, means by rows and by columns; the blocks of rows last put together are there
    // twice, and one that grows has up to twice its need.
    let encodings = images * 12 * (parameters.k2 == 1 ? 3 * encoding + mean : encoding + 4 * mean)
    let blocks = threads * 8 * (Distances.blockRows * images + (Distances.blockRows + 2 * Distances.panelRows) * columns)
    return features + neighbours + encodings + blocks
  }

  package func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void) {
    precondition(queries.lowerBound >= 0 && queries.upperBound <= queryCount)
    let final = UnsafeMutableBufferPointer<Double>.allocate(capacity: galleryCount)
    defer { final.deallocate() }
    distances.forEachRow(of: queries) { query, row in
      final.update(repeating: 0)
      addSharedWeights(of: query, to: final)
      let scale = farthest[query] > 0 ? 1 / farthest[query] : 0
      for index in 0..<galleryCount {
        let shared = final[index]
        let jaccard = 1 - shared / (2 - shared)
        final[index] = (1 - lambda) * jaccard + lambda * (row[queryCount + index] * scale)
      }
      body(query, UnsafeBufferPointer(final))
    }
  }

  /// S(g) = Σᵢ min(V(q)ᵢ, V(g)ᵢ) for every gallery image g.
  private func addSharedWeights(of query: Int, to sums: UnsafeMutableBufferPointer<Double>) {
    galleryEncodings.rows.withUnsafeBufferPointer { rows in
      galleryEncodings.values.withUnsafeBufferPointer { values in
        encodings.forEachEntry(of: query) { column, weight in
          for entry in galleryEncodings.starts[column]..<galleryEncodings.starts[column + 1] {
            sums[Int(rows[entry])] += min(weight, values[entry])
          }
        }
      }
    }
  }

  /// V(p) from R*(p), by ascending index.
  private static func encoding(
    of row: Int, _ neighbours: NearestNeighbours, _ distances: Distances, _ parameters: Settings
  ) -> [(column: Int32, value: Double)] {
    let reciprocal = neighbours.reciprocal(of: row, parameters.k1)
    var members = Set(reciprocal)
    for candidate in reciprocal {
      let theirs = neighbours.reciprocal(of: Int(candidate), parameters.halfK1)
      let shared = theirs.count { reciprocal.contains($0) }
      if 3 * shared > 2 * theirs.count { members.formUnion(theirs) }
    }
    let farthest = neighbours.farthest[row]
    let scale = farthest > 0 ? 1 / farthest : 0
    var entries = members.sorted().map { member in
      (column: member, value: exp(-distances.distance(query: row, gallery: Int(member)) * scale))
    }
    let sum = entries.reduce(0) { $0 + $1.value }
    for index in entries.indices { entries[index].value /= sum }
    return entries
  }

  /// The mean of some rows of `encodings`, by ascending column.
  private static func mean(
    of encodings: SparseRows, over rows: ArraySlice<Int32>
  ) -> [(column: Int32, value: Double)] {
    var entries: [(column: Int32, value: Double, order: Int)] = []
    for (order, row) in rows.enumerated() {
      encodings.forEachEntry(of: Int(row)) { column, value in entries.append((Int32(column), value, order)) }
    }
    // In the order of the rows within a column, so that the sum is the same on every machine.
    entries.sort { ($0.column, $0.order) < ($1.column, $1.order) }
    var means: [(column: Int32, value: Double)] = []
    for entry in entries {
      if let last = means.last, last.column == entry.column {
        means[means.count - 1].value += entry.value
      } else {
        means.append((entry.column, entry.value))
      }
    }
    for index in means.indices { means[index].value /= Double(rows.count) }
    return means
  }
}
