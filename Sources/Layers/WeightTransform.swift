import Tensors

/// What the filters of a convolution go through before they are used.
package enum FilterTransform: Sendable {
  case none
  /// `AlignedFilters`.
  case aligned
  /// `SpectralFilters`.
  case spectral
  /// `UnitFilters`.
  case unitLength
}

/// Working weights that are not the masters: every rank makes them alike before it packs, and takes their gradient, summed over all
/// ranks, back to that of the masters.
protocol WeightTransform: Sendable {
  /// What stands beside the weights in the layout.
  var parameters: [ParameterLayout.Slot] { get }
  /// The working weights in the order of the slot, from its first element on.
  func apply<A: Element>(_ values: Buffer<A>, _ workers: Workers) -> Buffer<A>
  /// The gradients of the masters in place of that of the working weights.
  func pullBack<A: Element>(_ gradients: ParameterGradients, _ values: Buffer<A>, _ workers: Workers)
  /// Makes `parameters` such that the working weights are the masters, as nearly as can be.
  func fit<A: Element>(_ values: Buffer<A>, _ workers: Workers)
}

/// The filters of a weight, in blocks: in memory an element of all of them stands side by side.
struct FilterBlocks: Sendable {
  let weight: ParameterLayout.Slot

  var filters: Int { weight.shape[0] }
  /// Of one filter.
  var length: Int { weight.count / filters }
  private static var block: Int { 64 }

  func forEach(_ workers: Workers, _ body: (Range<Int>) -> Void) {
    workers.parallelFor((filters + Self.block - 1) / Self.block) { block, _ in
      body(block * Self.block..<min(filters, (block + 1) * Self.block))
    }
  }
}

extension Convolution {
  package func pullBack(
    _ gradients: ParameterGradients, _ values: Buffer<E.Accumulator>, _ workers: Workers
  ) {
    transform?.pullBack(gradients, values, workers)
  }

  package func fit(_ values: Buffer<E.Accumulator>, _ workers: Workers) { transform?.fit(values, workers) }
}
