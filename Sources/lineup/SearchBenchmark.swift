import Evaluation
import Foundation
import Retrieval
import Tensors
import Training

/// How long an exact search takes among generated rows, and how many of them it looks at twice.
struct SearchBenchmark {
  struct Report: Encodable {
    let rows: String, count: Int, columns: Int
    /// Seconds: to read and encode all rows; of searches for the first 10 rows; of float64 distances to all rows.
    let encoding: Double, median: Double, slowest: Double, bruteForce: Double
    /// Rows whose distance was computed, of the search that had most.
    let mostRescored: Int
  }

  /// What rows are like. Uniform directions in so many dimensions are all about as far from each other, the hardest case; features
  /// of people are clusters.
  enum Kind: String, CaseIterable {
    case uniform = "uniform directions"
    case clustered = "clusters of 20"
  }

  let rows: Int, columns: Int
  private let machine: Machine
  private static let queries = 21, checked = 3, matches = 10

  /// - Parameter size: such as `1000000x512`.
  init(_ size: String, _ machine: Machine) throws {
    let numbers = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let rows = numbers[0], let columns = numbers[1], (1...100_000_000).contains(rows),
      (1...65536).contains(columns)
    else {
      throw Failure.usage("--search \(Printable.line(size, limit: 60))", "expected ROWSxCOLUMNS, such as 1000000x512")
    }
    (self.rows, self.columns, self.machine) = (rows, columns, machine)
  }

  /// - Throws: `Failure.internal` where a search tells other rows than distances to all of them.
  func measure(_ kind: Kind) throws -> Report {
    let features = generated(kind, rows, first: 0), queries = generated(kind, Self.queries, first: rows)
    let start = ContinuousClock.now
    let search = try ExactSearch(features, .cosine, name: "generated rows", parallelFor: machine.parallelFor)
    let encoding = ContinuousClock.now - start
    var times: [Double] = [], mostRescored = 0, bruteForce = 0.0
    for index in 0..<Self.queries {
      let query = Array(queries.values[index * columns..<(index + 1) * columns]), start = ContinuousClock.now
      let answer = try search.nearest(Self.matches, to: query, parallelFor: machine.parallelFor)
      times.append((ContinuousClock.now - start) / .seconds(1))
      mostRescored = max(mostRescored, answer.rescored)
      guard index < Self.checked else { continue }
      let (matches, seconds) = nearestOfAll(features, query)
      bruteForce = seconds
      guard matches == answer.matches else { throw Failure.internal("the search is not exact: \(answer.matches)") }
    }
    times.sort()
    return Report(
      rows: kind.rawValue, count: rows, columns: columns, encoding: encoding / .seconds(1),
      median: times[times.count / 2],
      slowest: times.last!, bruteForce: bruteForce, mostRescored: mostRescored)
  }

  private func nearestOfAll(_ features: FeatureMatrix, _ query: [Float]) -> ([Match], seconds: Double) {
    let wide = ExactSearch.scaled(query, .cosine), start = ContinuousClock.now
    var distances = [Double](repeating: 0, count: rows)
    distances.withUnsafeMutableBufferPointer { distances in
      features.values.withUnsafeBufferPointer { values in
        machine.parallelFor((rows + 1023) / 1024) { block in
          for row in block * 1024..<min(rows, (block + 1) * 1024) {
            distances[row] = ExactSearch.distance(.cosine, wide, values.baseAddress! + row * columns)
          }
        }
      }
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let nearest = distances.enumerated().sorted { ($0.element, $0.offset) < ($1.element, $1.offset) }
    return (nearest.prefix(Self.matches).map { Match(row: $0.offset, distance: $0.element) }, seconds)
  }

  private func generated(_ kind: Kind, _ count: Int, first: Int) -> FeatureMatrix {
    let columns = columns
    let values = [Float](unsafeUninitializedCapacity: count * columns) { values, initialized in
      machine.parallelFor((count + 255) / 256) { block in
        for row in block * 256..<min(count, (block + 1) * 256) {
          let vector = direction(first + row, kind)
          for column in 0..<columns { values[row * columns + column] = vector[column] }
        }
      }
      initialized = count * columns
    }
    return FeatureMatrix(rows: count, columns: columns, values: values)
  }

  /// A unit vector; of a cluster, its cosine with the cluster's middle is about 0.8.
  private func direction(_ row: Int, _ kind: Kind) -> [Float] {
    func normals(_ seed: UInt64, _ position: Int) -> [Double] {
      var random = CounterRandom(seed: seed, position: position, purpose: .probing)
      return (0..<columns).map { _ in random.normal() }
    }
    var vector = normals(1, row)
    if kind == .clustered {
      // Neighbours in a file are frames of one video as a rule, but here no search may gain by it.
      let cluster = row % max(1, rows / 20)
      vector = zip(vector, normals(2, cluster)).map { 0.75 * $0 + $1 }
    }
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return vector.map { Float($0 / length) }
  }
}

extension SearchBenchmark.Report: CustomStringConvertible {
  var description: String {
    String(
      format: "%@: %d × %d, %.1f ms (median of 21 queries, slowest %.1f), %d rows looked at twice at most, ", rows,
      count,
      columns, 1000 * median, 1000 * slowest, mostRescored)
      + String(
        format: "read and encoded in %.1f s; float64 distances to all rows: %.0f ms", encoding, 1000 * bruteForce)
  }
}
