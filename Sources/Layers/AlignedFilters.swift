import Tensors

/// WeightAlign ("WeightAlign: Normalizing Activations by Weight Alignment", ICPR 2020): the filters of a convolution are used with mean 0 and a
/// variance that is trained, for filter o of n = inputs·taps weights w:
///
///     ŵ = γ_o·x̂/a,  x̂ = (w − m)/s,  s = √(v + ε),  a = √(n/2)             m, v: mean and biased variance of the filter's weights
///     w̄ = γ_o/(a·s)·(g − m(g) − x̂·m(x̂g)),  γ̄_o = Σ x̂g/a                  from the gradient g of ŵ, summed over all ranks
///
/// So the filters' mean is 0 and n·variance is 2γ² (He initialization at γ = 1): normalization without a look at
/// activations, whatever the batch. Precision: float64, working weights rounded to an accumulator. Collectives: none; every rank
/// does the same arithmetic on the same numbers.
struct AlignedFilters: WeightTransform {
  private let blocks: FilterBlocks
  /// γ.
  private let gain: ParameterLayout.Slot
  private static var epsilon: Double { 1e-5 }

  /// Tensor `<name>.gain`, beside the weight that is already in the layout; 1 at first.
  init(_ layout: inout ParameterLayout, _ name: String, of weight: ParameterLayout.Slot) {
    blocks = FilterBlocks(weight: weight)
    gain = layout.add(name + ".gain", .normScale, shape: [weight.shape[0]])
  }

  var parameters: [ParameterLayout.Slot] { [gain] }
  private var weight: ParameterLayout.Slot { blocks.weight }
  private var filters: Int { blocks.filters }
  private var length: Int { blocks.length }
  private var inverseRoot: Double { 1 / (Double(length) / 2).squareRoot() }

  /// m and 1/s of each filter of a block.
  private func statistics<A: Element>(_ block: Range<Int>, _ values: Buffer<A>) -> (mean: [Double], inverse: [Double]) {
    let start = weight.range.lowerBound, inverseLength = 1 / Double(length)
    var mean = [Double](repeating: 0, count: block.count), variance = mean
    for i in 0..<length {
      for (at, filter) in block.enumerated() { mean[at] += Double(values[start + i * filters + filter]) }
    }
    for at in mean.indices { mean[at] *= inverseLength }
    for i in 0..<length {
      for (at, filter) in block.enumerated() {
        let difference = Double(values[start + i * filters + filter]) - mean[at]
        variance[at] += difference * difference
      }
    }
    return (mean, variance.map { 1 / ($0 * inverseLength + Self.epsilon).squareRoot() })
  }

  /// ŵ in the order of the slot, from its first element on.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func apply<A: Element>(_ values: Buffer<A>, _ workers: Workers) -> Buffer<A> {
    let working = Buffer<A>(count: weight.count), start = weight.range.lowerBound
    blocks.forEach(workers) { block in
      let (mean, inverse) = statistics(block, values)
      let factors = block.enumerated().map { at, filter in
        Double(values[gain.range.lowerBound + filter]) * inverse[at] * inverseRoot
      }
      for i in 0..<length {
        for (at, filter) in block.enumerated() {
          let index = i * filters + filter
          working[index] = A(factors[at] * (Double(values[start + index]) - mean[at]))
        }
      }
    }
    return working
  }

  /// The gradients of w and γ in place of that of ŵ.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func pullBack<A: Element>(_ gradients: ParameterGradients, _ values: Buffer<A>, _ workers: Workers) {
    let start = weight.range.lowerBound, inverseLength = 1 / Double(length)
    blocks.forEach(workers) { block in
      let (mean, inverse) = statistics(block, values)
      var sum = [Double](repeating: 0, count: block.count), product = sum
      for i in 0..<length {
        for (at, filter) in block.enumerated() {
          let index = start + i * filters + filter, g = gradients.values[index]
          sum[at] += g
          product[at] += g * (Double(values[index]) - mean[at]) * inverse[at]
        }
      }
      for i in 0..<length {
        for (at, filter) in block.enumerated() {
          let index = start + i * filters + filter
          let x = (Double(values[index]) - mean[at]) * inverse[at]
          let factor = Double(values[gain.range.lowerBound + filter]) * inverse[at] * inverseRoot
          gradients.values[index] =
            factor * (gradients.values[index] - sum[at] * inverseLength - x * product[at] * inverseLength)
        }
      }
      for (at, filter) in block.enumerated() {
        gradients.values[gain.range.lowerBound + filter] = product[at] * inverseRoot
      }
    }
  }

  /// γ = √(n/2)·s, with which ŵ is w but for its mean: what weights from elsewhere begin with.
  func fit<A: Element>(_ values: Buffer<A>, _ workers: Workers) {
    blocks.forEach(workers) { block in
      let inverse = statistics(block, values).inverse
      for (at, filter) in block.enumerated() {
        values[gain.range.lowerBound + filter] = A(1 / (inverse[at] * inverseRoot))
      }
    }
  }
}
