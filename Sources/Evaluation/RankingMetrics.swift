import Tensors

/// Sums of the ranking metrics over some queries. Those of any partition of the queries add up to the whole, so each
/// rank makes its own, `vector` is summed over ranks, and `result()` divides at the end.
package struct RankingTotals: Sendable, Equatable {
  /// The CMC is counted up to this rank.
  package static let ranks = 50
  /// Elements of `vector`.
  package static let vectorCount = 5 + ranks

  /// Queries that have a match in the gallery.
  package private(set) var queries = 0.0
  /// Queries without any; they are in no other figure.
  package private(set) var leftOut = 0.0
  private var averagePrecision = 0.0
  private var trapezoid = 0.0
  private var inverseNegativePenalty = 0.0
  /// Element r: queries whose first match has rank r + 1. (ranks)
  private var firstMatches = [Double](repeating: 0, count: ranks)

  package init() {}

  /// The inverse of `vector`.
  package init(vector: [Double]) {
    precondition(vector.count == Self.vectorCount)
    (queries, leftOut) = (vector[0], vector[1])
    (averagePrecision, trapezoid, inverseNegativePenalty) = (vector[2], vector[3], vector[4])
    firstMatches = Array(vector[5...])
  }

  /// All of it as plain numbers, to be summed over ranks: queries, left out, Σ AP, Σ trapezoidal AP, Σ INP, and the
  /// counts of first matches at rank 1, 2, … (vectorCount)
  package var vector: [Double] {
    [queries, leftOut, averagePrecision, trapezoid, inverseNegativePenalty] + firstMatches
  }

  package static func += (left: inout RankingTotals, right: RankingTotals) {
    left = RankingTotals(vector: zip(left.vector, right.vector).map { $0 + $1 })
  }

  /// Adds a query with the ranks of its matches (from 1, ascending); without any it is left out.
  mutating func add(matchRanks: [Int]) {
    guard let first = matchRanks.first, let last = matchRanks.last else {
      leftOut += 1
      return
    }
    queries += 1
    let matches = Double(matchRanks.count)
    var precisions = 0.0, trapezoids = 0.0
    for (found, rank) in matchRanks.enumerated() {
      let precision = Double(found + 1) / Double(rank)
      let precisionBefore = rank == 1 ? 1 : Double(found) / Double(rank - 1)
      precisions += precision
      trapezoids += (precisionBefore + precision) / 2
    }
    averagePrecision += precisions / matches
    trapezoid += trapezoids / matches
    inverseNegativePenalty += matches / Double(last)
    if first <= Self.ranks { firstMatches[first - 1] += 1 }
  }

  /// Of one query; nil where it has no match.
  static func averagePrecision(of matchRanks: [Int]) -> Double? {
    var totals = RankingTotals()
    totals.add(matchRanks: matchRanks)
    return totals.queries > 0 ? totals.averagePrecision : nil
  }

  /// - Throws: `Failure.data` if no query has a match: there is nothing to average.
  package func result() throws -> RankingResult {
    guard queries > 0 else {
      throw Failure.data(
        "none of the \(Int(leftOut)) queries has a match in the gallery (its identity, under another camera)")
    }
    var count = 0.0
    let cmc = firstMatches.map { firsts in
      count += firsts
      return count / queries
    }
    return RankingResult(
      mAP: averagePrecision / queries, mAPTrapezoid: trapezoid / queries, mINP: inverseNegativePenalty / queries,
      cmc: cmc, queries: Int(queries), leftOut: Int(leftOut))
  }
}

/// How well a gallery is ranked for the queries. All but the counts are fractions from 0 to 1.
package struct RankingResult: Codable, Sendable, Equatable {
  /// The mean over queries of the average precision, AP = mean over matches of the precision at their ranks: what
  /// torchreid and fast-reid report, and Lineup.
  package let mAP: Double
  /// The same with the precision averaged over each step of recall (area under the curve by trapezoids): the evaluation
  /// code that came with Market-1501. Up to a point or so from `mAP`; name the one you compare with.
  package let mAPTrapezoid: Double
  /// The mean of INP = matches / rank of the last match (Ye et al., "Deep Learning for Person Re-identification: A
  /// Survey and Outlook", 2021).
  package let mINP: Double
  /// Queries with a match among the first 1, 5, 10, 20.
  package let rank1: Double
  package let rank5: Double
  package let rank10: Double
  package let rank20: Double
  /// Element r: queries with a match among the first r + 1. (RankingTotals.ranks)
  package let cmc: [Double]
  /// Queries that were judged.
  package let queries: Int
  /// Queries without a match in the gallery, which are not.
  package let leftOut: Int

  /// A line about `leftOut`, where there are any.
  package var warning: String? {
    guard leftOut > 0 else { return nil }
    return
      "\(leftOut) of \(leftOut + queries) queries have no match in the gallery (their identity, under another camera) "
      + "and are in no figure"
  }

  /// - Precondition: `cmc` reaches to rank 20 at least.
  package init(mAP: Double, mAPTrapezoid: Double, mINP: Double, cmc: [Double], queries: Int, leftOut: Int) {
    (self.mAP, self.mAPTrapezoid, self.mINP) = (mAP, mAPTrapezoid, mINP)
    (rank1, rank5, rank10, rank20, self.cmc) = (cmc[0], cmc[4], cmc[9], cmc[19], cmc)
    (self.queries, self.leftOut) = (queries, leftOut)
  }
  /// These figures with another CMC.
  func replacing(cmc: [Double]) -> RankingResult {
    RankingResult(mAP: mAP, mAPTrapezoid: mAPTrapezoid, mINP: mINP, cmc: cmc, queries: queries, leftOut: leftOut)
  }
}
