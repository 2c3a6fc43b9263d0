import Layers
import Tensors

/// Rows scaled to unit length: ê = e/‖e‖ (0 stays 0), n×1×1×E. Precision: float64, rounded once.
enum UnitVectors {
  private static func inverse<S: RealNumber>(_ row: [S]) -> S {
    var square = S(0)
    for x in row { square += x * x }
    return square.value > 1e-24 ? S(1) / square.squareRoot() : S(0)
  }

  private static func unit<S: RealNumber>(_ row: [S]) -> [S] {
    let inverse = inverse(row)
    return row.map { $0 * inverse }
  }

  /// (g − ê(ê·g))/‖e‖.
  private static func gradient<S: RealNumber>(_ row: [S], _ g: [S]) -> [S] {
    let inverse = inverse(row), unit = row.map { $0 * inverse }
    var along = S(0)
    for (u, g) in zip(unit, g) { along += u * g }
    return zip(unit, g).map { ($1 - $0 * along) * inverse }
  }

  static func forward<A: Element>(_ e: Tensor<A>, _ run: Run<A>) -> Tensor<A> {
    rows(like: e, run) { unit($0(e)) }
  }

  static func backward<A: Element>(at e: Tensor<A>, _ g: Tensor<A>, _ run: Run<A>) -> Tensor<A> {
    rows(like: e, run) { gradient($0(e), $0(g)) }
  }

  /// `weight` times the derivative of the gradient along ė, g held fixed.
  static func backwardTangent<A: Element>(
    at e: Tensor<A>, along dot: Tensor<A>, _ g: Tensor<A>, weight: Double, _ run: Run<A>
  ) -> Tensor<A> {
    rows(like: e, run) { row in
      let point = zip(row(e), row(dot)).map { Dual($0, $1) }
      return gradient(point, row(g).map { Dual($0) }).map { weight * $0.tangent }
    }
  }

  // Conversions of an unspecialized element take as long as a convolution.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private static func rows<A: Element>(
    like e: Tensor<A>, _ run: Run<A>, _ body: (_ row: (Tensor<A>) -> [Double]) -> [Double]
  ) -> Tensor<A> {
    let result = run.context.tensor(e.shape), length = e.shape.channels
    guard !run.context.workers.isRehearsal else { return result }
    for row in 0..<e.shape.images {
      let values = body { tensor in (0..<length).map { Double(tensor.pointer[row * length + $0]) } }
      for i in 0..<length { result.pointer[row * length + i] = A(values[i]) }
    }
    return result
  }
}
