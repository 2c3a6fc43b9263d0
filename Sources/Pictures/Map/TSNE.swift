import Evaluation
import Foundation
import Tensors

/// A plane in which vectors that are near to each other stay so: exact t-SNE (van der Maaten and Hinton, "Visualizing Data using
/// t-SNE", 2008), with the usual settings of today (scikit-learn's): PCA to start with, exaggeration 12 for 250 iterations, a
/// step of max(n/48, 50), momentum 0.5 and then 0.8.
///
///     p_{j|i} ∝ exp(−β_i ‖x_i − x_j‖²), β_i by perplexity;  p_ij = (p_{j|i} + p_{i|j}) / 2n
///     q_ij ∝ 1 / (1 + ‖y_i − y_j‖²);  KL(P‖Q) is minimized by gradient descent
///
/// Time n² an iteration, memory 8n² bytes for P. Computed in float64; the same for any number of threads.
package struct TSNE: Sendable {
  package var perplexity = 30.0
  package var iterations = 1000
  private static let exaggeration = 12.0, exaggerated = 250

  package init() {}

  /// Larger sets would take long.
  package static let mostRows = 5000

  package struct Result: Sendable {
    /// (n)
    package let points: [Point]
    /// KL(P‖Q), in nats.
    package let divergence: Double
  }

  /// - Parameter progress: called after every iteration.
  /// - Precondition: features are finite, 4 rows or more.
  package func plane(
    of features: FeatureMatrix, parallelFor: ParallelFor = runSerially, progress: () -> Void = {}
  ) -> Result {
    let n = features.rows
    precondition(n >= 4)
    let p = similarities(features, parallelFor)
    var y = start(features, parallelFor), gains = [Double](repeating: 1, count: 2 * n)
    var speed = [Double](repeating: 0, count: 2 * n), result = Descent(n)
    let rate = max(Double(n) / Self.exaggeration / 4, 50)
    for iteration in 0..<iterations {
      let isEarly = iteration < Self.exaggerated
      result.compute(p, y, exaggeration: isEarly ? Self.exaggeration : 1, parallelFor)
      for i in 0..<2 * n {
        let gradient = result.gradient[i]
        // A gain grows as long as the direction stays.
        gains[i] = max(0.01, speed[i] * gradient < 0 ? gains[i] + 0.2 : gains[i] * 0.8)
        speed[i] = (isEarly ? 0.5 : 0.8) * speed[i] - rate * gains[i] * gradient
        y[i] += speed[i]
      }
      progress()
      if !isEarly && result.gradient.reduce(0, { $0 + $1 * $1 }).squareRoot() < 1e-7 { break }
    }
    return Result(
      points: (0..<n).map { Point(y[2 * $0], y[2 * $0 + 1]) }, divergence: divergence(p, y, n))
  }

  /// The plane of the principal components, its first axis of deviation 1e-4.
  private func start(_ features: FeatureMatrix, _ parallelFor: ParallelFor) -> [Double] {
    let plane = PrincipalComponents.plane(of: features, parallelFor: parallelFor)
    let deviation = (plane.reduce(0) { $0 + $1.x * $1.x } / Double(plane.count)).squareRoot()
    let scale = deviation > 0 ? 1e-4 / deviation : 0
    // Copies of one image begin at one place, and would stay there: that is what they are.
    return plane.flatMap { [$0.x * scale, $0.y * scale] }
  }

  /// P, n × n, its diagonal 0.
  private func similarities(_ features: FeatureMatrix, _ parallelFor: ParallelFor) -> [Double] {
    let n = features.rows, columns = features.columns
    let target = log(min(perplexity, Double(n - 1) / 3))
    var p = [Double](repeating: 0, count: n * n)
    p.withUnsafeMutableBufferPointer { p in
      features.values.withUnsafeBufferPointer { x in
        parallelFor(n) { i in
          let row = UnsafeMutableBufferPointer(rebasing: p[i * n..<(i + 1) * n])
          for j in 0..<n {
            var sum = 0.0
            for column in 0..<columns {
              let difference = Double(x[i * columns + column]) - Double(x[j * columns + column])
              sum += difference * difference
            }
            row[j] = sum
          }
          Self.conditional(row, of: i, entropy: target)
        }
      }
      for i in 0..<n {
        for j in 0..<i {
          let both = (p[i * n + j] + p[j * n + i]) / Double(2 * n)
          (p[i * n + j], p[j * n + i]) = (both, both)
        }
      }
    }
    return p
  }

  /// Squared distances to p_{j|i} with this entropy in nats, by bisection of β.
  private static func conditional(_ row: UnsafeMutableBufferPointer<Double>, of i: Int, entropy target: Double) {
    let n = row.count
    // Of the nearest of the others, without which exp would be 0 for all where features are long.
    var nearest = Double.infinity
    for j in 0..<n where j != i { nearest = min(nearest, row[j]) }
    for j in 0..<n { row[j] -= nearest }
    var beta = 1.0, low = 0.0, high = Double.infinity
    let mean = row.reduce(0, +) / Double(n)
    if mean > 0 { beta = 1 / mean }
    for _ in 0..<200 {
      var sum = 0.0, weighted = 0.0
      for j in 0..<n where j != i {
        let value = exp(-beta * row[j])
        sum += value
        weighted += value * row[j]
      }
      let difference = log(sum) + beta * weighted / sum - target
      if abs(difference) < 1e-7 { break }
      if difference > 0 { low = beta } else { high = beta }
      beta = high == .infinity ? beta * 2 : (low + high) / 2
    }
    var sum = 0.0
    for j in 0..<n {
      row[j] = j == i ? 0 : exp(-beta * row[j])
      sum += row[j]
    }
    for j in 0..<n { row[j] /= sum }
  }

  private func divergence(_ p: [Double], _ y: [Double], _ n: Int) -> Double {
    var total = 0.0, sum = 0.0
    func weight(_ i: Int, _ j: Int) -> Double {
      let (a, b) = (y[2 * i] - y[2 * j], y[2 * i + 1] - y[2 * j + 1])
      return 1 / (1 + a * a + b * b)
    }
    for i in 0..<n {
      for j in 0..<n where j != i { total += weight(i, j) }
    }
    for i in 0..<n {
      for j in 0..<n where j != i && p[i * n + j] > 0 {
        sum += p[i * n + j] * log(p[i * n + j] * total / weight(i, j))
      }
    }
    return sum
  }

  /// The gradient of KL(P‖Q):
  ///
  ///     4 Σ_j (p_ij − q_ij) w_ij (y_i − y_j),  w_ij = 1 / (1 + ‖y_i − y_j‖²),  q_ij = w_ij / Σ w
  ///
  /// Rows are by themselves; what each adds to Σ w is summed in their order.
  private struct Descent {
    /// (n, 2)
    private(set) var gradient: [Double]
    /// Of each row Σ p w (y_i − y_j), Σ w² (y_i − y_j) and Σ w. (n, 5)
    private var parts: [Double]

    init(_ n: Int) {
      gradient = [Double](repeating: 0, count: 2 * n)
      parts = [Double](repeating: 0, count: 5 * n)
    }

    mutating func compute(_ p: [Double], _ y: [Double], exaggeration: Double, _ parallelFor: ParallelFor) {
      let n = y.count / 2, xs = (0..<n).map { y[2 * $0] }, ys = (0..<n).map { y[2 * $0 + 1] }
      parts.withUnsafeMutableBufferPointer { parts in
        p.withUnsafeBufferPointer { p in
          xs.withUnsafeBufferPointer { xs in
            ys.withUnsafeBufferPointer { ys in
              parallelFor(n) { i in
                Self.row(p.baseAddress! + i * n, xs, ys, i, into: parts.baseAddress! + 5 * i)
              }
            }
          }
        }
      }
      var total = 0.0
      for i in 0..<n { total += parts[5 * i + 4] }
      for i in 0..<n {
        for k in 0..<2 { gradient[2 * i + k] = 4 * (exaggeration * parts[5 * i + k] - parts[5 * i + 2 + k] / total) }
      }
    }

    /// Four sums side by side, so that they are computed at once; their order is always the same.
    private static func row(
      _ p: UnsafePointer<Double>, _ xs: UnsafeBufferPointer<Double>, _ ys: UnsafeBufferPointer<Double>, _ i: Int,
      into out: UnsafeMutablePointer<Double>
    ) {
      let n = xs.count, one = SIMD4<Double>(repeating: 1)
      let (x, y) = (SIMD4(repeating: xs[i]), SIMD4(repeating: ys[i]))
      var ax = SIMD4<Double>.zero, ay = SIMD4<Double>.zero, rx = SIMD4<Double>.zero, ry = SIMD4<Double>.zero
      var sum = SIMD4<Double>.zero
      for first in stride(from: 0, to: n, by: 4) {
        var dx = SIMD4<Double>.zero, dy = SIMD4<Double>.zero, q = SIMD4<Double>.zero, isThere = SIMD4<Double>.zero
        if first + 4 <= n {
          let raw = UnsafeRawPointer(xs.baseAddress! + first), other = UnsafeRawPointer(ys.baseAddress! + first)
          dx = x - raw.loadUnaligned(as: SIMD4<Double>.self)
          dy = y - other.loadUnaligned(as: SIMD4<Double>.self)
          q = UnsafeRawPointer(p + first).loadUnaligned(as: SIMD4<Double>.self)
          isThere = one
        } else {
          for lane in 0..<n - first {
            (dx[lane], dy[lane], q[lane]) = (xs[i] - xs[first + lane], ys[i] - ys[first + lane], p[first + lane])
            isThere[lane] = 1
          }
        }
        let w = isThere / (one + dx * dx + dy * dy), attraction = q * w, repulsion = w * w
        ax += attraction * dx
        ay += attraction * dy
        rx += repulsion * dx
        ry += repulsion * dy
        sum += w
      }
      // Without the weight of itself, which is 1.
      (out[0], out[1], out[2], out[3], out[4]) = (ax.sum(), ay.sum(), rx.sum(), ry.sum(), sum.sum() - 1)
    }
  }
}
