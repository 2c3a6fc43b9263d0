import Tensors

/// From a map to columns of a feature, a row an image: how a head pools.
///
///     x: n×h×w×c of storage elements, stored as it is        y: columns first ..< first + c of n×1×1×C accumulators
///
/// | pool | y[n, first + c] |
/// |---|---|
/// | `AveragePool` | m(x), the mean over pixels |
/// | `GlobalMax` | max(x) |
/// | `GeneralizedMean` | m(max(x, ε)^p)^(1/p), p trained |
/// | `AttentivePool` | the same of pixels that a gate weighs |
///
/// Collectives: none but those of the gate's norm.
package protocol Pool<E>: AnyObject {
  associatedtype E: Element
  func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>) throws -> any PoolPasses<E>
  /// From N×c×h×w to N×c, as operators of `graph`.
  func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

/// What follows a pool's forward pass, on the same columns (see `Passes`).
package protocol PoolPasses<E>: AnyObject {
  associatedtype E: Element
  /// From ẋ (times τ) to its columns of ẏ. After a recording backward pass.
  func forwardTangent(_ xDot: Operand<E>, into yDot: Tensor<E.Accumulator>, _ run: Run<E>) throws

  /// From its columns of ȳ to x̄ + `addend`, finished by `target`.
  func backward(
    _ yBar: Tensor<E.Accumulator>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass,
    _ run: Run<E>
  ) throws -> Gradient<E>
}

/// The mean over an image's pixels, as a pool; linear, so nothing is kept of x.
package final class AveragePool<E: Element>: Pool {
  package init() {}

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.pooledMeans(x)
  }

  package func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>)
    -> any PoolPasses<E>
  {
    GlobalAverage.forward(x, into: y, first: first, run.context)
    return AveragePasses(x.shape, first: first)
  }
}

private final class AveragePasses<E: Element>: PoolPasses {
  private let shape: Shape, first: Int

  init(_ shape: Shape, first: Int) { (self.shape, self.first) = (shape, first) }

  func forwardTangent(_ xDot: Operand<E>, into yDot: Tensor<E.Accumulator>, _ run: Run<E>) {
    GlobalAverage.forward(xDot, into: yDot, first: first, run.context)
  }

  func backward(
    _ yBar: Tensor<E.Accumulator>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass,
    _ run: Run<E>
  ) -> Gradient<E> {
    GlobalAverage.backward(yBar, first: first, shape, adding: addend, target, run.context)
  }
}

extension Tensor {
  /// Columns first ..< first + count of a matrix as float64, row after row.
  func columns(_ first: Int, _ count: Int) -> Buffer<Double> where Scalar.Accumulator == Scalar {
    let values = Buffer<Double>(count: shape.images * count)
    for row in 0..<shape.images {
      SumConversion.widen(
        pointer + row * shape.channels + first, count: count, to: values.pointer + row * count)
    }
    return values
  }

  /// Writes columns first ..< first + count of a matrix from float64, each rounded once.
  func setColumns(_ first: Int, _ count: Int, from values: Buffer<Double>) where Scalar.Accumulator == Scalar {
    for row in 0..<shape.images {
      SumConversion.narrow(
        values.pointer + row * count, count: count, to: pointer + row * shape.channels + first)
    }
  }
}
