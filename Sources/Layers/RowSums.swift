import Tensors

/// The statistics of a matrix that no GEMM wrote: sums over its rows, on the grid of `SumConversion`.
package enum RowSums<A: Element> where A.Accumulator == A {
  /// Σx, Σx² of x: n×1×1×channels.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  package static func forward(_ x: Tensor<A>, _ context: Context<A>) -> Sums {
    sums(x.shape, count: 2, forward: true, context) { row, terms in
      let channels = x.shape.channels, x = x.pointer + row * channels
      for channel in 0..<channels {
        let value = Double(x[channel])
        (terms[channel], terms[channels + channel]) = (value, value * value)
      }
    }
  }

  /// Σẋ, Σẋ(x − mean), Σẋg, where g is the gradient of x's normalization.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  package static func tangent(
    _ xDot: Tensor<A>, of x: GradientTarget<A>.Normalized, _ g: Tensor<A>, _ context: Context<A>
  ) -> Sums {
    sums(xDot.shape, count: 3, forward: false, context) { row, terms in
      let channels = xDot.shape.channels, first = row * channels
      for channel in 0..<channels {
        let value = Double(xDot.pointer[first + channel])
        let centred = Double(x.z.pointer[first + channel]) - Double(x.state.mean[channel])
        terms[channel] = value
        terms[channels + channel] = value * centred
        terms[2 * channels + channel] = value * Double(g.pointer[first + channel])
      }
    }
  }

  /// Σ over rows of `count` terms of each channel, which `write` writes for a row, term by term.
  private static func sums(
    _ shape: Shape, count: Int, forward: Bool, _ context: Context<A>,
    _ write: (_ row: Int, _ terms: UnsafeMutablePointer<Double>) -> Void
  ) -> Sums {
    let channels = shape.channels, width = count * channels
    guard !context.workers.isRehearsal else { return Sums(terms: count, channels: channels) }
    let all = Buffer<Double>(count: shape.images * width)
    context.workers.parallelFor(shape.images) { row, _ in write(row, all.pointer + row * width) }
    let totals = SumConversion.totals(
      all, parts: shape.images, count: width, rounding: SumConversion.rounding(A.self, area: 1, forward: forward))
    return Sums(terms: count, channels: channels, totals)
  }
}
