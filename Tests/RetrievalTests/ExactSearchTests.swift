import Evaluation
import Foundation
import Retrieval
import Storage
import Tensors
import TestSupport
import Testing

/// A search tells the rows that distances to all of them tell.
@Suite struct ExactSearchTests {
  /// Kinds of rows, the easy and the hard.
  enum Rows: CaseIterable {
    case uniform, clustered, nearTheirMean, copies, mixedLengths, zeros
  }

  private func matrix(_ kind: Rows, rows: Int, columns: Int, seed: UInt64 = 1) -> FeatureMatrix {
    var random = CounterRandom(seed: seed, purpose: .probing)
    let centres = (0..<8).map { _ in (0..<columns).map { _ in random.normal() } }
    let values = (0..<rows).flatMap { row -> [Float] in
      // Every fifth row is the one before it once more.
      if kind == .copies { random = CounterRandom(seed: seed, position: row / 5 % 7, purpose: .probing) }
      let length = kind == .mixedLengths ? pow(10, random.uniform(-3, 3)) : 1
      return (0..<columns).map { column in
        let noise = random.normal()
        switch kind {
        case .uniform, .copies, .mixedLengths: return Float(length * noise)
        case .clustered: return Float(centres[row % 8][column] + 0.02 * noise)
        case .nearTheirMean: return Float(100 + centres[0][column] + 1e-3 * noise)
        case .zeros: return row % 3 == 0 ? 0 : Float(noise)
        }
      }
    }
    return FeatureMatrix(rows: rows, columns: columns, values: values)
  }

  private func brute(
    _ features: FeatureMatrix, _ metric: DistanceMetric, _ query: [Float], _ count: Int,
    _ isKept: (Int) -> Bool = { _ in true }
  ) -> [Match] {
    let wide = ExactSearch.scaled(query, metric), columns = features.columns
    let all = (0..<features.rows).filter(isKept).map { row -> Match in
      let values = Array(features.values[row * columns..<(row + 1) * columns])
      return Match(row: row, distance: ExactSearch.distance(metric, wide, values))
    }
    return Array(all.sorted { ($0.distance, $0.row) < ($1.distance, $1.row) }.prefix(count))
  }

  @Test(arguments: Rows.allCases, [DistanceMetric.cosine, .euclidean])
  func itIsThatOfAllDistances(_ kind: Rows, _ metric: DistanceMetric) throws {
    // More than one block of rows, not a whole one; columns that do not fill the codes.
    let rows = 9001, columns = 40, raw = matrix(kind, rows: rows, columns: columns)
    let features = metric == .cosine ? raw.unitRows : raw
    let search = try ExactSearch(features, metric, name: "features", parallelFor: runSerially)
    let workers = Workers(count: 2)
    let threads: ParallelFor = { count, body in workers.parallelFor(count) { index, _ in body(index) } }
    for (index, count) in [1, 10, 300].enumerated() {
      var query = matrix(kind, rows: 1, columns: columns, seed: UInt64(index + 7)).values
      // A row itself is at no distance, and its copies too.
      if index == 1 { query = Array(raw.values[50 * columns..<51 * columns]) }
      let answer = try search.nearest(count, to: query, parallelFor: threads)
      #expect(answer.matches == brute(features, metric, query, count), "\(count) matches")
      let few = try search.nearest(count, to: query, parallelFor: runSerially) { $0 % 100 == 7 }
      #expect(few.matches == brute(features, metric, query, count) { $0 % 100 == 7 })
      #expect(few.matches.count == min(count, 90))
    }
  }

  /// Against a product that shares nothing with the search's own, distances and not only their order.
  @Test func distancesAreWhatTheyMean() throws {
    let features = matrix(.uniform, rows: 50, columns: 33).unitRows
    let search = try ExactSearch(features, .cosine, name: "features", parallelFor: runSerially)
    let query = matrix(.uniform, rows: 1, columns: 33, seed: 4).values
    let answer = try search.nearest(50, to: query, parallelFor: runSerially)
    let length = query.map { Double($0) * Double($0) }.reduce(0, +).squareRoot()
    #expect(answer.matches.map(\.row).sorted() == Array(0..<50))
    for match in answer.matches {
      let row = features.values[match.row * 33..<(match.row + 1) * 33]
      let cosine = zip(row, query).map { Double($0) * Double($1) }.reduce(0, +) / length
      #expect(abs(match.distance - (1 - cosine)) < 1e-12)
    }
  }

  /// Clusters and random directions alike, only a part of the rows is looked at twice.
  @Test(arguments: [Rows.uniform, .nearTheirMean]) func fewRowsAreLookedAtTwice(_ kind: Rows) throws {
    let features = matrix(kind, rows: 20_000, columns: 64)
    let search = try ExactSearch(features, .euclidean, name: "features", parallelFor: runSerially)
    let query = matrix(kind, rows: 1, columns: 64, seed: 9).values
    let answer = try search.nearest(10, to: query, parallelFor: runSerially)
    #expect(answer.rescored >= 10 && answer.rescored < 200, "\(answer.rescored)")
  }

  @Test func whatHoldsNoFeaturesIsRefused() throws {
    for bad in [Float.infinity, -.infinity, .nan, 1e16] {
      var values = [Float](repeating: 0.5, count: 300 * 4)
      values[1023] = bad
      let features = FeatureMatrix(rows: 300, columns: 4, values: values)
      let said = message(.data) {
        _ = try ExactSearch(features, .euclidean, name: "G.npy", parallelFor: runSerially)
      }
      #expect(said?.hasPrefix("G.npy: row 255 (counted from 0)") == true, "\(said ?? "accepted")")
    }
    let nothing = FeatureMatrix(rows: 0, columns: 4, values: [])
    let search = try ExactSearch(nothing, .cosine, name: "none", parallelFor: runSerially)
    #expect(try search.nearest(3, to: [1, 0, 0, 0], parallelFor: runSerially).matches.isEmpty)
  }
}
