/// Finds the ranks of the matches of a query in a row of distances.
///
/// The protocol of Market-1501 (single query), which the other data sets follow:
///
/// - a *match* is a gallery image of the query's identity under another camera;
/// - gallery images of the query's identity under its own camera are ignored;
/// - gallery images of a negative identity (junk: bad detections) are ignored for every query, and such a query has no
///   match;
/// - all other gallery images are negatives, the distractors (identity 0 in Market-1501) among them.
///
/// Images of equal distance rank in the order of their gallery indices.
struct QueryJudge: Sendable {
  let queryIdentities: [Int]
  let queryCameras: [Int]
  let galleryIdentities: [Int]
  let galleryCameras: [Int]

  init(query: LabelledFeatures, gallery: LabelledFeatures) {
    queryIdentities = query.identities
    queryCameras = query.cameras
    galleryIdentities = gallery.identities
    galleryCameras = gallery.cameras
  }

  private init(_ judge: QueryJudge, rows: [Int]) {
    (queryIdentities, queryCameras) = (judge.queryIdentities, judge.queryCameras)
    galleryIdentities = rows.map { judge.galleryIdentities[$0] }
    galleryCameras = rows.map { judge.galleryCameras[$0] }
  }

  /// Of a part of the gallery.
  func limited(to rows: [Int]) -> QueryJudge { QueryJudge(self, rows: rows) }

  /// Whether a gallery image is in no ranking of the query.
  func isIgnored(_ index: Int, query: Int) -> Bool {
    let identity = galleryIdentities[index]
    return LabelledFeatures.isJunk(identity)
      || identity == queryIdentities[query] && galleryCameras[index] == queryCameras[query]
  }

  private struct Match {
    let distance: Double
    let index: Int
    /// Negatives that rank after the match before and before this one.
    var negatives = 0

    func isAfter(_ distance: Double, _ index: Int) -> Bool {
      distance < self.distance || (distance == self.distance && index < self.index)
    }
  }

  /// The ranks of the matches, from 1 and ascending, ignored images not counted; empty if there is no match.
  ///
  /// Only the few matches are sorted. One pass over the row then counts each negative towards the first match it
  /// precedes, which gives the ranks that sorting the whole row would.
  func matchRanks(query: Int, row: UnsafeBufferPointer<Double>) -> [Int] {
    precondition(row.count == galleryIdentities.count)
    let identity = queryIdentities[query], camera = queryCameras[query]
    if LabelledFeatures.isJunk(identity) { return [] }
    return galleryIdentities.withUnsafeBufferPointer { identities in
      var matches: [Match] = []
      for index in 0..<identities.count where identities[index] == identity && galleryCameras[index] != camera {
        matches.append(Match(distance: row[index], index: index))
      }
      guard !matches.isEmpty else { return [] }
      matches.sort { $1.isAfter($0.distance, $0.index) }
      matches.withUnsafeMutableBufferPointer { matches in
        let farthest = matches[matches.count - 1].distance
        for index in 0..<row.count where row[index] <= farthest {
          if identities[index] == identity || LabelledFeatures.isJunk(identities[index]) { continue }
          var low = 0, high = matches.count
          while low < high {
            let middle = (low + high) / 2
            if matches[middle].isAfter(row[index], index) { high = middle } else { low = middle + 1 }
          }
          if low < matches.count { matches[low].negatives += 1 }
        }
      }
      var negatives = 0
      return matches.enumerated().map { position, match in
        negatives += match.negatives
        return negatives + position + 1
      }
    }
  }
}
