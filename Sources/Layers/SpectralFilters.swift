import Foundation
import Tensors

/// Spectral norm ("Spectral Normalization for Generative Adversarial Networks", Miyato et al., ICLR 2018; of SCAN, "SCAN: Self and Channel
/// Attention Network for Person Re-Identification", ICPR 2020): the filters of a convolution, as the rows of a matrix W of
/// n = inputs·taps columns, are used divided by its largest singular value:
///
///     ŵ = w/σ,  σ = uᵀWv,  v ← Wᵀu/‖Wᵀu‖,  u ← Wv/‖Wv‖        ten times, from u_o = cos o
///     w̄ = (g − (Σ g∘ŵ)·uvᵀ)/σ                                  from the gradient g of ŵ, summed over all ranks
///
/// u and v are constants of the derivative, as they are where they are the singular vectors. They begin anew in every step, so that nothing
/// but the weights says what a step computes. Precision: float64, working weights rounded to an accumulator. Collectives: none.
struct SpectralFilters: WeightTransform {
  private let blocks: FilterBlocks
  private static var rounds: Int { 10 }

  init(_ weight: ParameterLayout.Slot) { blocks = FilterBlocks(weight: weight) }

  var parameters: [ParameterLayout.Slot] { [] }
  private var start: Int { blocks.weight.range.lowerBound }

  /// u, v and 1/σ; 1/σ is 0 where all weights are.
  private func singular<A: Element>(_ values: Buffer<A>, _ workers: Workers) -> (
    u: [Double], v: [Double], inverse: Double
  ) {
    var u = (0..<blocks.filters).map { cos(Double($0)) }, v: [Double] = [], inverse = 0.0
    for _ in 0..<Self.rounds {
      v = Self.unit(rows(values, times: u, workers)).vector
      (u, inverse) = Self.unit(columns(values, times: v, workers))
    }
    return (u, v, inverse)
  }

  /// With the inverse of the length that it had.
  private static func unit(_ vector: Buffer<Double>) -> (vector: [Double], inverse: Double) {
    let length = vector.span.reduce(0) { $0 + $1 * $1 }.squareRoot(), inverse = length > 1e-12 ? 1 / length : 0
    return (vector.span.map { $0 * inverse }, inverse)
  }

  /// Wᵀu.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private func rows<A: Element>(_ values: Buffer<A>, times u: [Double], _ workers: Workers) -> Buffer<Double> {
    let sums = Buffer<Double>(count: blocks.length), piece = 64, filters = blocks.filters
    workers.parallelFor((blocks.length + piece - 1) / piece) { index, _ in
      for i in index * piece..<min(blocks.length, (index + 1) * piece) {
        let row = values.pointer + start + i * filters
        var sum = 0.0
        for filter in 0..<filters { sum += Double(row[filter]) * u[filter] }
        sums[i] = sum
      }
    }
    return sums
  }

  /// Wv.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private func columns<A: Element>(_ values: Buffer<A>, times v: [Double], _ workers: Workers) -> Buffer<Double> {
    let sums = Buffer<Double>(count: blocks.filters)
    blocks.forEach(workers) { block in
      for i in 0..<blocks.length {
        let row = values.pointer + start + i * blocks.filters
        for filter in block { sums[filter] += Double(row[filter]) * v[i] }
      }
    }
    return sums
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func apply<A: Element>(_ values: Buffer<A>, _ workers: Workers) -> Buffer<A> {
    let working = Buffer<A>(count: blocks.weight.count)
    let inverse = singular(values, workers).inverse
    blocks.forEach(workers) { block in
      for i in 0..<blocks.length {
        for filter in block {
          let index = i * blocks.filters + filter
          working[index] = A(Double(values[start + index]) * inverse)
        }
      }
    }
    return working
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func pullBack<A: Element>(_ gradients: ParameterGradients, _ values: Buffer<A>, _ workers: Workers) {
    let (u, v, inverse) = singular(values, workers), filters = blocks.filters
    let alongs = Buffer<Double>(count: filters)
    blocks.forEach(workers) { block in
      for i in 0..<blocks.length {
        for filter in block {
          let index = start + i * filters + filter
          alongs[filter] += gradients.values[index] * Double(values[index])
        }
      }
    }
    let along = alongs.span.reduce(0, +) * inverse
    blocks.forEach(workers) { block in
      for i in 0..<blocks.length {
        for filter in block {
          let index = start + i * filters + filter
          gradients.values[index] = (gradients.values[index] - along * u[filter] * v[i]) * inverse
        }
      }
    }
  }

  func fit<A: Element>(_ values: Buffer<A>, _ workers: Workers) {}
}
