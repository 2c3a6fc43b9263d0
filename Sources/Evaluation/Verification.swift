/// How well a threshold on the distance tells pairs of one person from pairs of two.
package struct VerificationRates: Codable, Sendable, Equatable {
  /// The shares of pairs of two persons that are let pass, at most.
  package static let falsePositiveRates = [1e-4, 1e-3, 1e-2]
  /// For each of them the largest share of pairs of one person that pass with it.
  package let truePositiveRates: [Double]
  package let samePairs: Int, differentPairs: Int
}

/// The ROC curve of all pairs of a query and a gallery image at three points.
///
/// The pairs are those of fast-reid's `evaluate_roc`: all but those of one identity and one camera, and of junk. Which
/// pairs are *positive* differs: here those of one person, as is usual in verification; fast-reid's labels make those of
/// two persons positive, and its rates are those of the other side of the curve.
///
/// A pair passes where its distance, rounded to float32, is less than a threshold; pairs of equal distance pass together
/// or not at all. With N pairs of two persons and a rate f, the highest threshold is the distance of the pair of rank
/// ⌊f · N⌋ among them, counted from 0. It is found exactly without keeping distances: float32 numbers that are not negative
/// are in the order of their bits, so a first pass counts by their upper 16 bits and a second by the lower 16 of the few
/// upper halves that matter. Counts are whole, and so the same for any number of ranks and threads.
enum Verification {
  /// Queries a job; each has counts of its own.
  private static let jobRows = 256
  private static let bins = 1 << 16

  /// - Returns: nil where there are no pairs of one kind.
  /// - Throws: what `shares` throws.
  static func rates(
    queries: Range<Int>, _ judge: QueryJudge, _ distances: some DistanceRows, shares: some RowShares,
    parallelFor: ParallelFor
  ) throws -> VerificationRates? {
    let jobs = blocks(of: queries, size: jobRows)
    /// Counts of pairs of one person and of two, by the lower bits within `uppers`, or by the upper ones.
    func counts(within uppers: [Int]?) throws -> [Double] {
      var slots = [Int32](repeating: -1, count: bins)
      for (slot, upper) in (uppers ?? []).enumerated() { slots[upper] = Int32(slot * 2 * bins) }
      let parts = parallelMap(jobs.count, parallelFor) { job in
        var counts = [Int32](repeating: 0, count: 2 * bins * (uppers?.count ?? 1))
        distances.forEachRow(of: jobs[job]) { query, row in
          judge.forEachPair(of: query) { index, isSame in
            let bits = Int(Float(row[index]).bitPattern), side = isSame ? 0 : bins
            if uppers == nil {
              counts[side + bits >> 16] += 1
            } else if slots[bits >> 16] >= 0 {
              counts[Int(slots[bits >> 16]) + side + bits & 0xFFFF] += 1
            }
          }
        }
        return counts
      }
      var sums = [Double](repeating: 0, count: 2 * bins * (uppers?.count ?? 1))
      for part in parts { for index in sums.indices { sums[index] += Double(part[index]) } }
      return try shares.sum(sums)
    }
    let upper = try counts(within: nil)
    let same = upper[..<bins].reduce(0, +), different = upper[bins...].reduce(0, +)
    guard same > 0, different > 0 else { return nil }
    let coarse = VerificationRates.falsePositiveRates.map { rate in
      bin(of: (rate * different).rounded(.down), in: upper[bins...])
    }
    let uppers = Set(coarse.map(\.bin)).sorted(), lower = try counts(within: uppers)
    let rates = coarse.map { (upperBin, rest) in
      let start = uppers.firstIndex(of: upperBin)! * 2 * bins
      let fine = bin(of: rest, in: lower[(start + bins)..<(start + 2 * bins)])
      let passed = upper[..<upperBin].reduce(0, +) + lower[start..<(start + fine.bin)].reduce(0, +)
      return passed / same
    }
    return VerificationRates(truePositiveRates: rates, samePairs: Int(same), differentPairs: Int(different))
  }

  /// The bin that holds the element of rank `rank` (from 0), counted from the slice's start, and its rank within it.
  private static func bin(of rank: Double, in counts: ArraySlice<Double>) -> (bin: Int, rest: Double) {
    var before = 0.0
    for (bin, count) in counts.enumerated() {
      if before + count > rank { return (bin, rank - before) }
      before += count
    }
    preconditionFailure("a rank within the counts")
  }
}

extension QueryJudge {
  /// Calls `body` for every gallery image that forms a pair with the query, with whether both are of one identity.
  func forEachPair(of query: Int, _ body: (_ index: Int, _ isSame: Bool) -> Void) {
    let identity = queryIdentities[query], camera = queryCameras[query]
    if LabelledFeatures.isJunk(identity) { return }
    for index in galleryIdentities.indices where !LabelledFeatures.isJunk(galleryIdentities[index]) {
      let isSame = galleryIdentities[index] == identity
      if !(isSame && galleryCameras[index] == camera) { body(index, isSame) }
    }
  }
}
