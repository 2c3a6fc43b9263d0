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

/// Rows in float64, of unit length under the cosine.
private func vectors(_ matrix: FeatureMatrix, _ metric: DistanceMetric) -> [[Double]] {
  (0..<matrix.rows).map { row in
    let values = (0..<matrix.columns).map { Double(matrix.values[row * matrix.columns + $0]) }
    let norm = values.map { $0 * $0 }.reduce(0, +).squareRoot()
    return metric == .cosine ? values.map { $0 / norm } : values
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map(*).reduce(0, +) }

private func mean(_ rows: [[Double]]) -> [Double] {
  rows[0].indices.map { column in rows.map { $0[column] }.reduce(0, +) / Double(rows.count) }
}

/// Feedback the slow way: a sorted list of the whole gallery for every query and round, scores from the vectors' definitions.
func sortedFeedback(
  query: LabelledFeatures, gallery: LabelledFeatures, metric: DistanceMetric, method: FeedbackMethod, rounds: Int,
  labels: Int, beta: Double = 0.75, gamma: Double = 0.25, aggressiveness: Double = 1
) -> [RankingResult] {
  let (queries, images) = (vectors(query.matrix, metric), vectors(gallery.matrix, metric)), all = images.indices
  func distance(_ a: [Double], _ b: [Double]) -> Double {
    let difference = zip(a, b).map { $0 - $1 }
    return dot(difference, difference).squareRoot()
  }
  var places = [[[Double]]](repeating: [], count: rounds + 1)
  for (row, q) in queries.enumerated() {
    func isRelevant(_ index: Int) -> Bool { gallery.identities[index] == query.identities[row] }
    var scores = images.map { distance(q, $0) }, relevant: [Int] = [], others: [Int] = [], w = q
    for round in 0...rounds {
      var order = all.sorted { (scores[$0], $0) < (scores[$1], $1) }.filter { !(relevant + others).contains($0) }
      order = relevant.sorted() + order + others.sorted()
      var place = [Double](repeating: 0, count: images.count)
      for (position, index) in order.enumerated() { place[index] = Double(position) }
      places[round].append(place)
      let open = order.filter { index in
        gallery.identities[index] >= 0 && !relevant.contains(index) && !others.contains(index)
          && !(isRelevant(index) && gallery.cameras[index] == query.cameras[row])
      }
      let shown = open.prefix(labels), before = (relevant, others)
      if shown.isEmpty { continue }
      relevant += shown.filter(isRelevant)
      others += shown.filter { !isRelevant($0) }
      switch method {
      case .queryShift:
        var v = q
        if !relevant.isEmpty { v = zip(v, mean(relevant.map { images[$0] })).map { $0 + beta * $1 } }
        if !others.isEmpty { v = zip(v, mean(others.map { images[$0] })).map { $0 - gamma * $1 } }
        scores = images.map { metric == .cosine ? -dot(v, $0) : distance(v, $0) }
      case .relevanceScore:
        scores = images.map { x in
          let near = ([q] + relevant.map { images[$0] }).map { distance($0, x) }.min()!
          guard let far = others.map({ distance(images[$0], x) }).min() else { return near }
          return near + far == 0 ? -0.5 : -far / (near + far)
        }
      case .passiveAggressive:
        for r in relevant {
          for n in others where !(before.0.contains(r) && before.1.contains(n)) {
            let step = zip(images[r], images[n]).map { $0 - $1 }, square = dot(step, step)
            let loss = max(0, 1 - dot(w, step))
            if square > 0 { w = zip(w, step).map { $0 + min(aggressiveness, loss / square) * $1 } }
          }
        }
        scores = images.map { -dot(w, $0) }
      }
    }
  }
  return places.map { sortedMetrics($0, query: query, gallery: gallery) }
}

/// A ranking of the whole gallery, `order`, with its first images ordered anew by masks of bits, from lists of bits.
func maskedOrder(
  _ order: [Int], query: [Bool], gallery: [[Bool]], neighbours: Int, bits: Int, first: Int = 100
) -> [Int] {
  func differing(_ a: [Bool], _ b: [Bool], _ mask: [Int]) -> Int { mask.filter { a[$0] != b[$0] }.count }
  let every = Array(query.indices)
  let distances = order.prefix(first).map { image -> Int in
    let distances = gallery.map { differing($0, gallery[image], every) }
    let others = gallery.indices.filter { $0 != image }.sorted { (distances[$0], $0) < (distances[$1], $1) }
    let near = others.prefix(neighbours)
    let contrast = every.map { bit in
      // |g − mean| · k
      abs(near.filter { gallery[$0][bit] }.count - (gallery[image][bit] ? near.count : 0))
    }
    let mask = every.sorted { (-contrast[$0], $0) < (-contrast[$1], $1) }.prefix(bits)
    return differing(query, gallery[image], Array(mask))
  }
  let head = Array(zip(distances, order)).sorted { $0 < $1 }.map(\.1)
  return head + order.dropFirst(first)
}

/// The least cost of a one-to-one assignment, by trying all.
func leastCostOfAll(_ costs: [[Double]]) -> Double {
  func least(_ row: Int, _ free: Set<Int>, _ skips: Int) -> Double {
    if row == costs.count { return 0 }
    let skipped = skips > 0 ? least(row + 1, free, skips - 1) : .infinity
    return free.reduce(skipped) { min($0, costs[row][$1] + least(row + 1, free.subtracting([$1]), skips)) }
  }
  return least(0, Set(costs[0].indices), max(0, costs.count - costs[0].count))
}

/// The similarity of two groups, with pairs that are one-to-one, mutually best and weighted where there is a threshold.
///
/// - Parameters:
///   - group, other: persons.
///   - groups: all groups of the gallery, `other` at `place`.
func groupSimilarity(_ group: [[Double]], _ groups: [[[Double]]], at place: Int, threshold: Double?) -> Double {
  let other = groups[place]
  func cosine(_ a: [Double], _ b: [Double]) -> Double { dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot() }
  func similarity(_ person: [Double], _ group: [[Double]]) -> Double { group.map { cosine(person, $0) }.max()! }
  let size = Double(group.count + other.count)
  guard let threshold else {
    return (group.map { similarity($0, other) }.reduce(0, +) + other.map { similarity($0, group) }.reduce(0, +)) / size
  }
  let costs = group.map { a in other.map { -cosine(a, $0) } }, best = leastCostOfAll(costs)
  var sum = 0.0
  for (i, a) in group.enumerated() {
    for (j, b) in other.enumerated() where cosine(a, b) == similarity(a, other) && cosine(a, b) == similarity(b, group)
    {
      // In the assignment: what is left without the two costs as much less.
      let left = costs.indices.filter { $0 != i }.map { row in other.indices.filter { $0 != j }.map { costs[row][$0] } }
      let rest = left.isEmpty || left[0].isEmpty ? 0 : leastCostOfAll(left)
      guard abs(rest + costs[i][j] - best) < 1e-12 else { continue }
      let others = groups.indices.filter { $0 != place && similarity(a, groups[$0]) > threshold }.count
      sum += 2 * cosine(a, b) / Double(1 + others)
    }
  }
  return sum / size
}
