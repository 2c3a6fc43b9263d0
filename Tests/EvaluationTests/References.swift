import Evaluation
import Foundation

/// The metrics the slow way: every row sorted as a whole, every figure by its definition on the sorted list.
func sortedMetrics(_ distances: [[Double]], query: LabelledFeatures, gallery: LabelledFeatures) -> RankingResult {
  var averages: [Double] = [], trapezoids: [Double] = [], penalties: [Double] = [], firsts: [Int] = []
  var leftOut = 0
  for (row, identity) in query.identities.enumerated() {
    let kept = gallery.identities.indices.filter { index in
      gallery.identities[index] != -1
        && !(gallery.identities[index] == identity && gallery.cameras[index] == query.cameras[row])
    }
    let order = kept.sorted { left, right in
      let (a, b) = (distances[row][left], distances[row][right])
      return a == b ? left < right : a < b
    }
    let hits = order.map { gallery.identities[$0] == identity && identity != -1 }
    let total = hits.count { $0 }
    if total == 0 {
      leftOut += 1
      continue
    }
    // The area under precision over recall, step by step down the whole list (the Oxford and Market-1501 code).
    var found = 0, precisionSum = 0.0, area = 0.0, recallBefore = 0.0, precisionBefore = 1.0
    for (position, hit) in hits.enumerated() {
      if hit { found += 1 }
      let precision = Double(found) / Double(position + 1), recall = Double(found) / Double(total)
      if hit { precisionSum += precision }
      area += (recall - recallBefore) * (precisionBefore + precision) / 2
      (recallBefore, precisionBefore) = (recall, precision)
    }
    averages.append(precisionSum / Double(total))
    trapezoids.append(area)
    penalties.append(Double(total) / Double(hits.lastIndex(of: true)! + 1))
    firsts.append(hits.firstIndex(of: true)!)
  }
  func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
  let cmc = (0..<50).map { rank in mean(firsts.map { $0 <= rank ? 1 : 0 }) }
  return RankingResult(
    mAP: mean(averages), mAPTrapezoid: mean(trapezoids), mINP: mean(penalties), cmc: cmc, queries: averages.count,
    leftOut: leftOut)
}

/// Distances from the differences of the vectors, in float64.
func directDistances(_ left: FeatureMatrix, _ right: FeatureMatrix, _ metric: DistanceMetric) -> [[Double]] {
  func rows(_ matrix: FeatureMatrix) -> [[Double]] {
    (0..<matrix.rows).map { row in
      let values = (0..<matrix.columns).map { Double(matrix.values[row * matrix.columns + $0]) }
      let norm = values.map { $0 * $0 }.reduce(0, +).squareRoot()
      return metric == .cosine ? values.map { $0 / norm } : values
    }
  }
  let (lefts, rights) = (rows(left), rows(right))
  func squaredDistance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
  }
  let factor = metric == .cosine ? 0.5 : 1
  return lefts.map { a in rights.map { b in squaredDistance(a, b) * factor } }
}

/// k-reciprocal re-ranking with dense N × N matrices, after the equations of the paper.
///
/// - Parameter distances: squared, among queries and gallery. (N, N)
func denseReRanking(_ distances: [[Double]], queries: Int, k1: Int, k2: Int, lambda: Double) -> [[Double]] {
  let all = distances.indices
  let d = distances.map { row in
    let farthest = row.max()!
    return row.map { $0 / farthest }
  }
  let order = d.map { row in all.sorted { row[$0] == row[$1] ? $0 < $1 : row[$0] < row[$1] } }
  func reciprocal(_ p: Int, _ k: Int) -> Set<Int> {
    Set(order[p].prefix(k + 1)).filter { order[$0].prefix(k + 1).contains(p) }
  }
  let half = all.map { reciprocal($0, lrint(Double(k1) / 2)) }
  var encoding = all.map { p in
    let own = reciprocal(p, k1)
    let members = own.reduce(into: own) { members, candidate in
      let theirs = half[candidate]
      if Double(own.intersection(theirs).count) > 2.0 / 3.0 * Double(theirs.count) { members.formUnion(theirs) }
    }
    let weights = all.map { members.contains($0) ? exp(-d[p][$0]) : 0 }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }
  if k2 > 1 {
    let own = encoding
    encoding = all.map { p in
      let nearest = order[p].prefix(k2)
      return all.map { column in nearest.reduce(0) { $0 + own[$1][column] } / Double(nearest.count) }
    }
  }
  return (0..<queries).map { q in
    (queries..<d.count).map { g in
      let (least, most) = all.reduce(into: (0.0, 0.0)) { sums, column in
        sums.0 += min(encoding[q][column], encoding[g][column])
        sums.1 += max(encoding[q][column], encoding[g][column])
      }
      return (1 - lambda) * (1 - least / most) + lambda * d[q][g]
    }
  }
}
