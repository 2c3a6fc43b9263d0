import Tensors

/// The statistics of a matrix that no GEMM wrote: sums over its rows, on the grid of `SumConversion`.
package enum RowSums<A: Element> where A.Accumulator == A {
  /// Σx, Σx² of x: n×1×1×channels.
  package static func forward(_ x: Tensor<A>, _ context: Context<A>) -> Sums {
    sums(x.shape, count: 2, forward: true, context) { index, _ in
      let value = Double(x.pointer[index])
      return [value, value * value]
    }
  }

  /// Σẋ, Σẋ(x − mean), Σẋg, where g is the gradient of x's normalization.
  package static func tangent(
    _ xDot: Tensor<A>, of x: GradientTarget<A>.Normalized, _ g: Tensor<A>, _ context: Context<A>
  ) -> Sums {
    sums(xDot.shape, count: 3, forward: false, context) { index, channel in
      let value = Double(xDot.pointer[index])
      return [
        value, value * (Double(x.z.pointer[index]) - Double(x.state.mean[channel])), value * Double(g.pointer[index]),
      ]
    }
  }

  /// Σ over rows of `count` terms of each element.
  private static func sums(
    _ shape: Shape, count: Int, forward: Bool, _ context: Context<A>,
    _ terms: (_ index: Int, _ channel: Int) -> [Double]
  ) -> Sums {
    let channels = shape.channels, width = count * channels
    guard !context.workers.isRehearsal else { return Sums(terms: count, channels: channels) }
    let all = Buffer<Double>(count: shape.images * width)
    for row in 0..<shape.images {
      for channel in 0..<channels {
        for (i, term) in terms(row * channels + channel, channel).enumerated() {
          all[row * width + i * channels + channel] = term
        }
      }
    }
    let totals = SumConversion.totals(
      all, parts: shape.images, count: width, rounding: SumConversion.rounding(A.self, area: 1, forward: forward))
    return Sums(terms: count, channels: channels, totals)
  }
}
