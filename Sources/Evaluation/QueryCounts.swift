import Tensors

/// What is counted beside the metrics of a ranking, in the same pass over the distances.
///
/// All of it is sums over queries: those of any shares add up to the whole.
struct QueryCounts: Sendable {
  /// The single-gallery-shot CMC, or nil.
  let singleShot: SingleShot?
  /// The table of cameras, or nil.
  let cameraPairs: CameraPairs?

  var vectorCount: Int { (singleShot == nil ? 0 : RankingTotals.ranks) + (cameraPairs?.vectorCount ?? 0) }

  /// Adds what query `query` counts to `sums` (vectorCount): single-gallery-shot first, then pairs of cameras.
  func add(query: Int, row: UnsafeBufferPointer<Double>, to sums: inout [Double]) {
    singleShot?.add(query: query, row: row, to: &sums)
    cameraPairs?.add(query: query, row: row, to: &sums, from: singleShot == nil ? 0 : RankingTotals.ranks)
  }
}

/// The CMC where the gallery shows each identity once: the protocol of CUHK03's 20 splits, as torchreid's `eval_cuhk03`
/// has it. One image of each identity of the gallery is drawn for each query and repetition, of those that are not
/// ignored; a query counts the mean over the repetitions. Distractors (identity 0) are one identity.
///
/// An image is drawn by (repetition, query) alone and identities are drawn for in ascending order, so that any number of
/// ranks and threads draws the same.
struct SingleShot: Sendable {
  static let repetitions = 10

  private let judge: QueryJudge
  /// The gallery rows of each identity that is not junk, identities ascending.
  private let images: [(identity: Int, rows: [Int])]

  init(_ judge: QueryJudge) {
    self.judge = judge
    let rows = Dictionary(grouping: judge.galleryIdentities.indices) { judge.galleryIdentities[$0] }
    images = rows.filter { !LabelledFeatures.isJunk($0.key) }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Adds the repetitions in which the match of `query` has rank r + 1 to `sums[r]`; none where there is no match.
  func add(query: Int, row: UnsafeBufferPointer<Double>, to sums: inout [Double]) {
    let identity = judge.queryIdentities[query], camera = judge.queryCameras[query]
    guard !LabelledFeatures.isJunk(identity), let own = images.firstIndex(where: { $0.identity == identity }) else {
      return
    }
    let matches = images[own].rows.filter { judge.galleryCameras[$0] != camera }
    guard !matches.isEmpty else { return }
    var drawn = [Int](repeating: 0, count: images.count)
    for repetition in 0..<Self.repetitions {
      var random = CounterRandom(seed: 0, epoch: repetition, position: query, purpose: .evaluation)
      for (index, image) in images.enumerated() {
        let rows = index == own ? matches : image.rows
        drawn[index] = rows[random.integer(below: rows.count)]
      }
      let match = drawn[own]
      let before = drawn.count { row[$0] < row[match] || (row[$0] == row[match] && $0 < match) }
      if before < RankingTotals.ranks { sums[before] += 1 }
    }
  }

  /// The CMC from the sums over `queries` queries. (RankingTotals.ranks)
  static func cmc(_ sums: some Collection<Double>, queries: Double) -> [Double] {
    var count = 0.0
    return sums.map {
      count += $0
      return count / (queries * Double(repetitions))
    }
  }
}

/// mAP and rank-1 of the queries of one camera in the gallery of another.
package struct CameraPair: Codable, Sendable, Equatable {
  package let queryCamera: Int, galleryCamera: Int
  package let mAP: Double, rank1: Double
  /// Queries of that camera with a match under the other.
  package let queries: Int
}

/// The ranking of each camera's images by themselves, for each query camera.
struct CameraPairs: Sendable {
  private let cameras: [Int]
  private let queryCameras: [Int]
  /// Of each camera: its gallery rows, and their judge.
  private let galleries: [(rows: [Int], judge: QueryJudge)]

  init(_ judge: QueryJudge) {
    let cameras = Set(judge.galleryCameras).union(judge.queryCameras).sorted()
    let rows = Dictionary(grouping: judge.galleryCameras.indices) { judge.galleryCameras[$0] }
    self.cameras = cameras
    queryCameras = judge.queryCameras
    galleries = cameras.map { (rows[$0] ?? [], judge.limited(to: rows[$0] ?? [])) }
  }

  /// Queries, Σ AP and the count of first matches at rank 1 of each pair.
  var vectorCount: Int { 3 * cameras.count * cameras.count }

  func add(query: Int, row: UnsafeBufferPointer<Double>, to sums: inout [Double], from start: Int) {
    let own = cameras.firstIndex(of: queryCameras[query])!
    for (other, gallery) in galleries.enumerated() where other != own {
      let ranks = gallery.rows.map { row[$0] }.withUnsafeBufferPointer {
        gallery.judge.matchRanks(query: query, row: $0)
      }
      guard let first = ranks.first else { continue }
      let precisions = ranks.enumerated().reduce(0) { $0 + Double($1.offset + 1) / Double($1.element) }
      let place = start + 3 * (own * cameras.count + other)
      sums[place] += 1
      sums[place + 1] += precisions / Double(ranks.count)
      if first == 1 { sums[place + 2] += 1 }
    }
  }

  /// The pairs with a query that has a match, by query camera and then gallery camera.
  func result(_ sums: [Double]) -> [CameraPair] {
    cameras.indices.flatMap { own in
      cameras.indices.compactMap { other in
        let place = 3 * (own * cameras.count + other), queries = sums[place]
        guard queries > 0 else { return nil }
        return CameraPair(
          queryCamera: cameras[own], galleryCamera: cameras[other], mAP: sums[place + 1] / queries,
          rank1: sums[place + 2] / queries, queries: Int(queries))
      }
    }
  }
}
