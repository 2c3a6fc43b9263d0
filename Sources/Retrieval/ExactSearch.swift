import Evaluation
import Foundation
import Synchronization
import Tensors

/// A row of a gallery, found.
package struct Match: Sendable, Equatable {
  package let row: Int
  /// As `DistanceMetric` has it.
  package let distance: Double

  package init(row: Int, distance: Double) { (self.row, self.distance) = (row, distance) }
}

/// The nearest rows of a gallery to a query: those that distances to every row in float64 would tell, in that order, the lower
/// row first where two are equal.
///
/// Codes of a byte an element are scanned for bounds of every row's distance (`CodedVector`). A row whose bound reaches the
/// best that as many rows as asked for reach at least is read, and its distance computed; no other row can be among them.
package struct ExactSearch: Sendable {
  package struct Answer {
    /// Nearest first.
    package let matches: [Match]
    /// Rows whose distance was computed.
    package let rescored: Int
  }

  package let features: any FeatureRows
  package let metric: DistanceMetric
  private let coded: CodedRows

  /// Reads all rows once.
  /// - Parameters:
  ///   - features: at unit length for the cosine.
  ///   - name: what errors call them.
  /// - Throws: what reading throws; `Failure.data` for a row that holds no features.
  package init(
    _ features: any FeatureRows, _ metric: DistanceMetric, name: String, parallelFor: ParallelFor
  ) throws {
    (self.features, self.metric) = (features, metric)
    coded = try CodedRows(features, name: name, parallelFor: parallelFor)
  }

  /// The nearest `count` rows, fewer where there are fewer.
  /// - Parameters:
  ///   - query: finite, of as many elements as a row.
  ///   - isKept: rows that may be found; nil for all.
  /// - Throws: what reading throws.
  package func nearest(
    _ count: Int, to query: [Float], parallelFor: ParallelFor, where isKept: ((_ row: Int) -> Bool)? = nil
  ) throws -> Answer {
    precondition(query.count == features.columns && count >= 0)
    let query = Self.scaled(query, metric), vector = CodedVector(query, coded, metric)
    guard count > 0, features.rows > 0 else { return Answer(matches: [], rescored: 0) }
    let rows = features.rows
    let uppers = UnsafeMutablePointer<Float>.allocate(capacity: rows)
    // The largest of each block.
    let largest = UnsafeMutablePointer<Float>.allocate(capacity: coded.blocks)
    defer {
      uppers.deallocate()
      largest.deallocate()
    }
    let lowers = Mutex(Largest(count))
    parallelFor(coded.blocks) { block in
      coded.products(ofBlock: block, vector.numbers) { first, products, codes in
        var own = Largest(min(count, products.count)), most = -Float.infinity
        for index in 0..<products.count {
          let bounds = vector.bounds(products[index], codes[index])
          guard isKept?(first + index) ?? true else {
            uppers[first + index] = -.infinity
            continue
          }
          uppers[first + index] = bounds.upper
          most = max(most, bounds.upper)
          own.insert(bounds.lower)
        }
        largest[block] = most
        lowers.withLock { lowers in for value in own.values { lowers.insert(value) } }
      }
    }
    let least = lowers.withLock { max($0.least, -.greatestFiniteMagnitude) }
    let candidates = (0..<coded.blocks).filter { largest[$0] >= least }.flatMap { block in
      (block * CodedRows.blockRows..<min(rows, (block + 1) * CodedRows.blockRows)).filter { uppers[$0] >= least }
    }
    let distances = try distances(of: candidates, to: query, parallelFor)
    let found = zip(candidates, distances).map { Match(row: $0, distance: $1) }
      .sorted { ($0.distance, $0.row) < ($1.distance, $1.row) }
    return Answer(matches: Array(found.prefix(count)), rescored: candidates.count)
  }

  /// The distance of one row, in float64.
  package static func distance(
    _ metric: DistanceMetric, _ query: [Double], _ row: UnsafePointer<Float>
  ) -> Double {
    var sum = 0.0
    switch metric {
    case .cosine:
      for index in query.indices { sum += query[index] * Double(row[index]) }
      return 1 - sum
    case .euclidean:
      for index in query.indices {
        let difference = query[index] - Double(row[index])
        sum += difference * difference
      }
      return sum
    }
  }

  /// At unit length for the cosine; zeros stay.
  package static func scaled(_ query: [Float], _ metric: DistanceMetric) -> [Double] {
    let wide = query.map { Double($0) }
    guard metric == .cosine else { return wide }
    let length = wide.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return length > 0 ? wide.map { $0 / length } : wide
  }

  private func distances(of rows: [Int], to query: [Double], _ parallelFor: ParallelFor) throws -> [Double] {
    var distances = [Double](repeating: 0, count: rows.count)
    let failure = Mutex<Failure?>(nil), piece = 64
    distances.withUnsafeMutableBufferPointer { distances in
      parallelFor((rows.count + piece - 1) / piece) { index in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: features.columns) { values in
          for place in index * piece..<min(rows.count, (index + 1) * piece) {
            do throws(Failure) {
              try features.read(rows[place]..<rows[place] + 1, into: values.baseAddress!)
              distances[place] = Self.distance(metric, query, values.baseAddress!)
            } catch {
              failure.withLock { $0 = $0 ?? error }
            }
          }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    return distances
  }
}

/// The largest so many numbers of a sequence, as a heap with the least of them first.
struct Largest {
  private(set) var values: [Float] = []
  private let capacity: Int

  init(_ capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    values.reserveCapacity(min(capacity, 1 << 16))
  }

  /// −∞ until there are so many.
  var least: Float { values.count == capacity ? values[0] : -.infinity }

  @inline(__always)
  mutating func insert(_ value: Float) {
    if values.count == capacity {
      if value > values[0] { replaceLeast(by: value) }
    } else {
      append(value)
    }
  }

  private mutating func append(_ value: Float) {
    values.append(value)
    var child = values.count - 1
    while child > 0, case let parent = (child - 1) / 2, values[child] < values[parent] {
      values.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func replaceLeast(by value: Float) {
    values[0] = value
    var parent = 0
    while case let left = 2 * parent + 1, left < values.count {
      let right = left + 1, child = right < values.count && values[right] < values[left] ? right : left
      guard values[child] < values[parent] else { return }
      values.swapAt(child, parent)
      parent = child
    }
  }
}
