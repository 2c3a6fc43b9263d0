import Tensors

/// The statistics of a matrix that no GEMM wrote: Σx and Σx² over its rows, on the grid of `SumConversion`.
package enum RowSums<A: Element> where A.Accumulator == A {
  /// x: n×1×1×channels. Returns 2 × channels.
  package static func forward(_ x: Tensor<A>, _ context: Context<A>) -> [Double] {
    let channels = x.shape.channels
    guard !context.workers.isRehearsal else { return [Double](repeating: 0, count: 2 * channels) }
    let terms = Buffer<Double>(count: 2 * x.shape.count)
    for row in 0..<x.shape.images {
      for i in 0..<channels {
        let value = Double(x.pointer[row * channels + i])
        terms[row * 2 * channels + i] = value
        terms[row * 2 * channels + channels + i] = value * value
      }
    }
    return SumConversion.total(
      terms, parts: x.shape.images, count: 2 * channels,
      rounding: SumConversion.rounding(A.self, area: 1, forward: true))
  }
}
