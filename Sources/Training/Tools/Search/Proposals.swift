import Tensors

/// Points of the unit cube to try, one after the other, for a value as large as can be: first some spread out as a Latin
/// hypercube (each side cut into as many pieces as there are points, each piece hit once), then those of largest expected
/// improvement among random candidates.
///
/// A point follows from what was seen, the seed and the stream alone, so an interrupted search goes on as it would have.
package struct Proposals: Sendable {
  private static let candidates = 2000

  private let dimensions: Int, initial: Int, seed: UInt64, stream: Int

  /// - Parameters:
  ///   - initial: points before the Gaussian process takes over, 1 or more.
  ///   - stream: tells searches of one seed apart, from 0 on.
  package init(dimensions: Int, initial: Int, seed: UInt64, stream: Int) {
    precondition(dimensions > 0 && initial > 0)
    (self.dimensions, self.initial, self.seed, self.stream) = (dimensions, initial, seed, stream)
  }

  /// - Parameters:
  ///   - values: of `points`, in their order; nil where there is none, which counts as the smallest.
  ///   - snapped: a candidate as it can be tried, such as one of whole numbers.
  package func next(
    after points: [[Double]], _ values: [Double?], snapped: ([Double]) -> [Double] = { $0 }
  ) -> [Double] {
    guard points.count >= initial else { return snapped(spread(points.count)) }
    var random = CounterRandom(seed: seed, epoch: stream, position: points.count, purpose: .searching)
    let candidates = (0..<Self.candidates).map { _ in snapped((0..<dimensions).map { _ in random.uniform() }) }
    let smallest = values.compactMap { $0 }.min() ?? 0
    let process = GaussianProcess.fitted(points, values.map { $0 ?? smallest })
    return ExpectedImprovement.best(of: candidates, process)
  }

  /// The point `index` of the hypercube.
  private func spread(_ index: Int) -> [Double] {
    (0..<dimensions).map { dimension in
      var random = CounterRandom(seed: seed, epoch: stream, position: -1 - dimension, purpose: .searching)
      var pieces = Array(0..<initial)
      random.shuffle(&pieces)
      let places = (0..<initial).map { _ in random.uniform() }
      return (Double(pieces[index]) + places[index]) / Double(initial)
    }
  }
}
