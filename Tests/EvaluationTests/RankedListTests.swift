import Evaluation
import Testing

/// The lists are those of whole rows that are sorted, and their average precisions those whose mean is the mAP.
@Suite struct RankedListTests {
  @Test(arguments: [DistanceMetric.euclidean, .cosine]) func isTheBeginningOfTheWholeRanking(metric: DistanceMetric)
    throws
  {
    let query = try generatedFeatures(seed: 1, rows: 21, columns: 6, identities: 7)
    let gallery = try generatedFeatures(seed: 2, rows: 90, columns: 6, identities: 7, copies: 12)
    let distances = try Distances(query: query, gallery: gallery, metric: metric)
    let rows = Array(stride(from: 20, through: 0, by: -1))
    let lists = Ranking.lists(of: rows, count: 15, query: query, gallery: gallery, distances: distances)
    #expect(lists.map(\.query) == rows)
    var whole: [[Double]] = []
    distances.forEachRow(of: 0..<21) { _, row in whole.append(Array(row)) }
    for list in lists {
      let (identity, camera) = (query.identities[list.query], query.cameras[list.query])
      let kept = gallery.identities.indices.filter { row in
        gallery.identities[row] >= 0 && !(gallery.identities[row] == identity && gallery.cameras[row] == camera)
      }
      let order = kept.sorted { (whole[list.query][$0], $0) < (whole[list.query][$1], $1) }
      #expect(list.images.map(\.row) == Array(order.prefix(15)))
      #expect(list.images.map(\.distance) == order.prefix(15).map { whole[list.query][$0] })
      let hits = order.map { gallery.identities[$0] == identity && identity >= 0 }
      #expect(list.images.map(\.isMatch) == Array(hits.prefix(15)))
      #expect(list.matchRanks == hits.indices.filter { hits[$0] }.map { $0 + 1 })
      let precisions = list.matchRanks.enumerated().map { Double($0.offset + 1) / Double($0.element) }
      let expected = precisions.isEmpty ? nil : precisions.reduce(0, +) / Double(precisions.count)
      #expect(list.averagePrecision.map { abs($0 - (expected ?? -1)) < 1e-12 } ?? (expected == nil))
    }
    let all = Ranking.averagePrecisions(query: query, gallery: gallery, distances: distances)
    #expect(all == rows.reversed().map { row in lists.first { $0.query == row }!.averagePrecision })
    let judged = all.compactMap { $0 }, result = try Ranking.score(query: query, gallery: gallery, metric: metric)
    #expect(judged.count < all.count, "some queries are junk")
    #expect(abs(judged.reduce(0, +) / Double(judged.count) - result.mAP) < 1e-12)
  }

  @Test func aShortGalleryIsShownWhole() throws {
    let query = try labelled([0, 0], columns: 2, identities: [5], cameras: [1])
    let gallery = try labelled([1, 0, 2, 0, 0, 0], columns: 2, identities: [5, 6, 5], cameras: [2, 1, 1])
    let distances = try Distances(query: query, gallery: gallery, metric: .euclidean)
    let list = Ranking.lists(of: [0], count: 50, query: query, gallery: gallery, distances: distances)[0]
    #expect(list.images.map(\.row) == [0, 1] && list.images.map(\.isMatch) == [true, false])
    #expect(list.averagePrecision == 1 && list.matchRanks == [1])
  }
}
