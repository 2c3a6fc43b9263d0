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

/// Weights whose rows (one a class) are used at unit length: ŵ = w/‖w‖. The gradient of ŵ, summed over all ranks, goes back
/// to that of w: w̄ = (ŵ̄ − ŵ(ŵ·ŵ̄))/‖w‖. Precision: float64.
package struct UnitRows: Sendable {
  private let slot: ParameterLayout.Slot
  private var rows: Int { slot.shape[0] }
  private var length: Int { slot.count / rows }

  init(_ slot: ParameterLayout.Slot) { self.slot = slot }

  /// Rows of a block: in memory an element of all rows stands side by side.
  private static let block = 64

  private func forEachBlock(_ workers: Workers, _ body: (Range<Int>) -> Void) {
    workers.parallelFor((rows + Self.block - 1) / Self.block) { block, _ in
      body(block * Self.block..<min(rows, (block + 1) * Self.block))
    }
  }

  /// Where element `i` of row 0 stands.
  private func start(_ i: Int) -> Int { slot.range.lowerBound + i * rows }

  /// 1/‖w‖ of each row of a block.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private func inverses<A: Element>(_ block: Range<Int>, _ values: Buffer<A>) -> [Double] {
    var squares = [Double](repeating: 0, count: block.count)
    for i in 0..<length {
      let start = start(i)
      for row in block {
        let value = Double(values[start + row])
        squares[row - block.lowerBound] += value * value
      }
    }
    return squares.map { $0 > 1e-24 ? 1 / $0.squareRoot() : 0 }
  }

  /// ŵ, at the same place of a buffer of the layout.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func apply<A: Element>(_ values: Buffer<A>, to working: Buffer<A>, _ workers: Workers) {
    forEachBlock(workers) { block in
      let inverses = inverses(block, values)
      for i in 0..<length {
        let start = start(i)
        for row in block {
          working[start + row] = A(Double(values[start + row]) * inverses[row - block.lowerBound])
        }
      }
    }
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func pullBack<A: Element>(_ gradients: ParameterGradients, _ values: Buffer<A>, _ workers: Workers) {
    forEachBlock(workers) { block in
      let inverses = inverses(block, values)
      var along = [Double](repeating: 0, count: block.count)
      for i in 0..<length {
        let start = start(i)
        for row in block {
          let at = row - block.lowerBound
          along[at] += Double(values[start + row]) * inverses[at] * gradients.values[start + row]
        }
      }
      for i in 0..<length {
        let start = start(i)
        for row in block {
          let at = row - block.lowerBound, unit = Double(values[start + row]) * inverses[at]
          gradients.values[start + row] = (gradients.values[start + row] - unit * along[at]) * inverses[at]
        }
      }
    }
  }
}
