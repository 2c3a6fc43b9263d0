import Evaluation
import Tensors
import Testing

@Suite struct ReRankingTests {
  @Test(
    arguments: DistanceMetric.allCases,
    [(20, 6, 0.3), (7, 1, 0.3), (4, 9, 0.1), (5, 2, 0.0), (200, 3, 0.3)])
  func agreesWithDenseMatrices(metric: DistanceMetric, parameters: (k1: Int, k2: Int, lambda: Double)) throws {
    let query = try generatedFeatures(seed: 21, rows: 19, columns: 6, identities: 8)
    let gallery = try generatedFeatures(seed: 22, rows: 91, columns: 6, identities: 8, copies: 9)
    let all = FeatureMatrix(rows: 110, columns: 6, values: query.matrix.values + gallery.matrix.values)
    let (k1, k2, lambda) = parameters
    let dense = denseReRanking(directDistances(all, all, metric), queries: 19, k1: k1, k2: k2, lambda: lambda)
    let sparse = try ReRanking(
      query: query, gallery: gallery, metric: metric, parameters: .init(k1: k1, k2: k2, lambda: lambda))
    #expect((sparse.queryCount, sparse.galleryCount) == (19, 91))
    for (sparseRow, denseRow) in zip(sparse.matrix(), dense) {
      let error = zip(sparseRow, denseRow).map { abs($0 - $1) }.max()!
      #expect(error < 1e-10)
    }
  }

  @Test func aShareOfTheQueriesIsThatPartOfTheWhole() throws {
    let query = try generatedFeatures(seed: 31, rows: 90, columns: 4, identities: 6)
    let gallery = try generatedFeatures(seed: 32, rows: 300, columns: 4, identities: 6)
    let distances = try ReRanking(query: query, gallery: gallery, metric: .cosine, parameters: .init())
    let whole = distances.matrix()
    distances.forEachRow(of: 65..<90) { index, row in #expect(Array(row) == whole[index]) }
  }

  @Test func identicalFeaturesAreNoSpecialCase() throws {
    // All distances are zero, so none can be divided by the largest.
    let query = try labelled([1, 1, 1, 1], columns: 2, identities: [1, 2], cameras: [1, 1])
    let gallery = try labelled([1, 1, 1, 1, 1, 1], columns: 2, identities: [2, 1, 1], cameras: [2, 2, 2])
    let distances = try ReRanking(query: query, gallery: gallery, metric: .euclidean, parameters: .init())
    for row in distances.matrix() { for value in row { #expect(abs(value) < 1e-15) } }
  }

  @Test func parametersOutOfRangeAreRefused() throws {
    for (k1, k2, lambda, name) in [(0, 6, 0.3, "k1 = 0"), (20, 0, 0.3, "k2 = 0"), (20, 6, 1.5, "lambda = 1.5")] {
      let failure = #expect(throws: Failure.self) { try ReRanking.Settings(k1: k1, k2: k2, lambda: lambda) }
      #expect(failure?.kind == .usage)
      #expect(failure?.message.contains(name) == true)
    }
  }

  @Test func memoryGrowsWithTheImagesNotTheirSquare() throws {
    let parameters = try ReRanking.Settings()
    // MSMT17: 11,659 queries and 82,161 gallery images, of which one dense float32 matrix takes 35 GB.
    let msmt17 = ReRanking.memoryEstimate(images: 93_820, columns: 512, parameters: parameters)
    #expect(msmt17 < 3_000_000_000)
    #expect(msmt17 > 93_820 * 512 * 4)
    let twice = ReRanking.memoryEstimate(images: 2 * 93_820, columns: 512, parameters: parameters)
    #expect(twice <= 2 * msmt17)
  }
}
