import Evaluation
import Foundation
import Pictures
import Tensors
import Testing

@Suite struct MapTests {
  /// Groups of `each` vectors about centres that are far apart.
  private func groups(_ count: Int, each: Int, columns: Int, spread: Double = 1, seed: UInt64 = 3) -> FeatureMatrix {
    var random = CounterRandom(seed: seed, purpose: .evaluation), values: [Float] = []
    let centres = (0..<count).map { _ in (0..<columns).map { _ in 10 * random.normal() } }
    for row in 0..<count * each { values += centres[row / each].map { Float($0 + spread * random.normal()) } }
    return FeatureMatrix(rows: count * each, columns: columns, values: values)
  }

  /// Whether the nearest of each point is of its group.
  private func agreement(_ points: [Point], each: Int) -> Double {
    let hits = points.indices.count { i in
      let nearest = points.indices.filter { $0 != i }.min { a, b in
        hypot(points[a].x - points[i].x, points[a].y - points[i].y)
          < hypot(points[b].x - points[i].x, points[b].y - points[i].y)
      }!
      return nearest / each == i / each
    }
    return Double(hits) / Double(points.count)
  }

  private let threaded: ParallelFor = { count, body in
    withoutActuallyEscaping(body) { body in
      nonisolated(unsafe) let body = body
      DispatchQueue.concurrentPerform(iterations: count) { body($0) }
    }
  }

  @Test func principalComponentsAreThoseOfLargestVariance() {
    // Deviations 5 and 3 along two directions of 12, 0.5 along the others.
    var random = CounterRandom(seed: 9, purpose: .evaluation), values: [Float] = [], expected: [(Double, Double)] = []
    let one = (0..<12).map { _ in random.normal() }, length = one.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let u = one.map { $0 / length }
    var v = (0..<12).map { _ in random.normal() }
    let share = zip(u, v).reduce(0) { $0 + $1.0 * $1.1 }
    v = zip(u, v).map { $1 - share * $0 }
    let norm = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    v = v.map { $0 / norm }
    for _ in 0..<400 {
      let (a, b) = (5 * random.normal(), 3 * random.normal())
      expected.append((a, b))
      values += (0..<12).map { Float(a * u[$0] + b * v[$0] + 0.5 * random.normal() + 7) }
    }
    let features = FeatureMatrix(rows: 400, columns: 12, values: values)
    let plane = PrincipalComponents.plane(of: features)
    #expect(plane == PrincipalComponents.plane(of: features, parallelFor: threaded))
    func correlation(_ x: [Double], _ y: [Double]) -> Double {
      let (mx, my) = (x.reduce(0, +) / 400, y.reduce(0, +) / 400)
      let xy = zip(x, y).reduce(0) { $0 + ($1.0 - mx) * ($1.1 - my) }
      let xx = x.reduce(0) { $0 + ($1 - mx) * ($1 - mx) }, yy = y.reduce(0) { $0 + ($1 - my) * ($1 - my) }
      return abs(xy) / (xx * yy).squareRoot()
    }
    #expect(correlation(plane.map(\.x), expected.map(\.0)) > 0.98)
    #expect(correlation(plane.map(\.y), expected.map(\.1)) > 0.96)
    #expect(correlation(plane.map(\.x), plane.map(\.y)) < 1e-6)
    #expect(abs(plane.reduce(0) { $0 + $1.x }) < 1e-6)
  }

  @Test func degenerateFeaturesHaveAPlane() {
    let same = FeatureMatrix(rows: 5, columns: 3, values: [Float](repeating: 2, count: 15))
    #expect(PrincipalComponents.plane(of: same) == [Point](repeating: Point(0, 0), count: 5))
    let line = FeatureMatrix(rows: 4, columns: 1, values: [1, 2, 3, 6])
    #expect(
      zip(PrincipalComponents.plane(of: line), [-2.0, -1, 0, 3]).allSatisfy { abs($0.x - $1) < 1e-9 && $0.y == 0 })
    let result = TSNE().plane(of: same)
    #expect(result.points.allSatisfy { $0.x.isFinite && $0.y.isFinite } && result.divergence.isFinite)
  }

  @Test func neighboursStayNeighbours() {
    let features = groups(6, each: 20, columns: 16)
    let result = TSNE().plane(of: features)
    #expect(agreement(result.points, each: 20) == 1)
    // scikit-learn's exact t-SNE of such groups ends at about the same: see docs/results.md.
    #expect(result.divergence > 0 && result.divergence < 0.6)
    var short = TSNE()
    short.iterations = 400
    #expect(short.plane(of: features).divergence > result.divergence)
    let threads = TSNE().plane(of: features, parallelFor: threaded)
    #expect(threads.points == result.points && threads.divergence == result.divergence)
  }

  @Test func thumbnailsMoveApart() {
    var random = CounterRandom(seed: 4, purpose: .evaluation)
    let bounds = Box(0, 0, 400, 400)
    // Forty within a tenth of the page, some of them at one place.
    let points = (0..<40).map {
      $0 % 10 == 0 ? Point(200, 200) : Point(180 + 40 * random.uniform(), 180 + 40 * random.uniform())
    }
    let places = Thumbnails.apart(points, width: 20, height: 40, within: bounds)
    var covered = 0.0
    for a in places.indices {
      #expect(places[a].x >= 10 && places[a].x <= 390 && places[a].y >= 20 && places[a].y <= 380)
      for b in 0..<a {
        covered += max(0, 20 - abs(places[a].x - places[b].x)) * max(0, 40 - abs(places[a].y - places[b].y))
      }
    }
    #expect(covered == 0, "\(covered)")
    // What covers nothing stays.
    let free = [Point(50, 50), Point(150, 50), Point(50, 150)]
    #expect(Thumbnails.apart(free, width: 20, height: 40, within: bounds) == free)
  }
}
