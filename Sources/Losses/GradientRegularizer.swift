import Collectives
import Layers
import Tensors

/// MSGR, the multi-scale gradient regularizer (Eq. 7 of the MSFL paper), over the samples i of the global batch and the
/// places s (0: the input; 1…4: the outputs of stages):
///
///     R = Σ_s Σ_i ‖g_{s,i}‖_q,  g_s = ∂L/∂f_s          v_{s,i} = ∂‖g_{s,i}‖_q/∂g_{s,i}
///     ∂R/∂θ = d/dε ∂L/∂θ at f_s + ε v_s                 (v held fixed)
///
/// | q | v |
/// |---|---|
/// | 2 | g/‖g‖ |
/// | 1 | sign(g) |
/// | ∞ | sign(g) at the first of the largest elements, 0 elsewhere |
///
/// all zero where g is. Precision: sums in float64 within an image. Collectives: the norms of all ranks are gathered.
package struct GradientRegularizer: Sendable {
  package enum Norm: Sendable { case one, two, infinity }

  package let norm: Norm
  /// s, ascending.
  package let places: [Int]

  package init(norm: Norm, places: [Int]) { (self.norm, self.places) = (norm, places.sorted()) }

  /// A scale for the tangents to start with: a power of two that takes the elements of v towards 1.
  package var initialTangentScale: Double { norm == .one ? 1 : 1024 }

  /// The gradients at the places, and their norms.
  package struct Measured<E: Element> {
    /// R.
    package let value: Double
    fileprivate let gradients: [Int: Tensor<E>]
    /// Of each image of this rank: the norm as stored, and where the first of the largest elements stands.
    fileprivate let norms: [Int: [(norm: Double, largest: Int)]]
  }

  /// `gradients`: of `scale`·L with respect to this rank's rows of f_s (n × h × w × c), by place.
  package func measure<E: Element>(_ gradients: [Int: Tensor<E>], scale: Double, _ context: Context<E>) throws
    -> Measured<E>
  {
    var norms: [Int: [(norm: Double, largest: Int)]] = [:], value = 0.0
    for place in places {
      norms[place] = imageNorms(gradients[place]!, context)
      let all = try context.communicator.allgather(norms[place]!.map { $0.norm / scale })
      value = all.joined().reduce(value, +)
    }
    return Measured(value: value, gradients: gradients, norms: norms)
  }

  private func imageNorms<E: Element>(_ g: Tensor<E>, _ context: Context<E>) -> [(norm: Double, largest: Int)] {
    let count = g.shape.area * g.shape.channels, kernels = context.kernels
    var norms = [(norm: Double, largest: Int)](repeating: (0, 0), count: g.shape.images)
    norms.withUnsafeMutableBufferPointer { norms in
      let norms = norms.baseAddress!
      context.workers.parallelFor(g.shape.images) { image, _ in
        let m = kernels.magnitudes(g.pointer + image * count, count)
        norms[image] = (
          norm == .one ? m.sum : norm == .two ? m.squares.squareRoot() : m.largest, m.indexOfLargest
        )
      }
    }
    return norms
  }

  /// τ·v by place.
  package func directions<E: Element>(_ measured: Measured<E>, tangentScale: Double, _ context: Context<E>)
    -> [Int: Tensor<E>]
  {
    var directions: [Int: Tensor<E>] = [:]
    for (place, g) in measured.gradients {
      directions[place] = direction(g, measured.norms[place]!, tangentScale, context)
    }
    return directions
  }

  private func direction<E: Element>(
    _ g: Tensor<E>, _ norms: [(norm: Double, largest: Int)], _ tangentScale: Double, _ context: Context<E>
  ) -> Tensor<E> {
    let v = context.tensor(g.shape), count = g.shape.area * g.shape.channels
    let kernels = context.kernels
    context.workers.parallelFor(g.shape.images) { image, _ in
      let (size, largest) = norms[image]
      let from = g.pointer + image * count, to = v.pointer + image * count
      switch norm {
      case .one: kernels.signs(from, count, times: tangentScale, into: to)
      // Where g is zero, so is its direction: one of the subgradients, and what automatic differentiation takes.
      case .two: kernels.scale(from, count, by: size == 0 ? 0 : tangentScale / size, into: to)
      case .infinity:
        kernels.signs(from, count, times: 0, into: to)
        kernels.signs(from + largest, 1, times: tangentScale, into: to + largest)
      }
    }
    return v
  }
}
