import Tensors

/// Weights whose filters (of a classifier a row a class) are used at unit length: ŵ = w/‖w‖. The gradient g of ŵ, summed over
/// all ranks, goes back to that of w: w̄ = (g − ŵ(ŵ·g))/‖w‖. Precision: float64. Collectives: none.
struct UnitFilters: WeightTransform {
  private let blocks: FilterBlocks

  init(_ weight: ParameterLayout.Slot) { blocks = FilterBlocks(weight: weight) }

  var parameters: [ParameterLayout.Slot] { [] }

  /// Where element `i` of filter 0 stands.
  private func start(_ i: Int) -> Int { blocks.weight.range.lowerBound + i * blocks.filters }

  /// 1/‖w‖ of each filter of a block.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private func inverses<A: Element>(_ block: Range<Int>, _ values: Buffer<A>) -> [Double] {
    var squares = [Double](repeating: 0, count: block.count)
    for i in 0..<blocks.length {
      let start = start(i)
      for filter in block {
        let value = Double(values[start + filter])
        squares[filter - block.lowerBound] += value * value
      }
    }
    return squares.map { $0 > 1e-24 ? 1 / $0.squareRoot() : 0 }
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func apply<A: Element>(_ values: Buffer<A>, _ workers: Workers) -> Buffer<A> {
    let working = Buffer<A>(count: blocks.weight.count)
    blocks.forEach(workers) { block in
      let inverses = inverses(block, values)
      for i in 0..<blocks.length {
        let start = start(i)
        for filter in block {
          working[i * blocks.filters + filter] = A(
            Double(values[start + filter]) * inverses[filter - block.lowerBound])
        }
      }
    }
    return working
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  func pullBack<A: Element>(_ gradients: ParameterGradients, _ values: Buffer<A>, _ workers: Workers) {
    blocks.forEach(workers) { block in
      let inverses = inverses(block, values)
      var along = [Double](repeating: 0, count: block.count)
      for i in 0..<blocks.length {
        let start = start(i)
        for filter in block {
          let at = filter - block.lowerBound
          along[at] += Double(values[start + filter]) * inverses[at] * gradients.values[start + filter]
        }
      }
      for i in 0..<blocks.length {
        let start = start(i)
        for filter in block {
          let at = filter - block.lowerBound, unit = Double(values[start + filter]) * inverses[at]
          gradients.values[start + filter] = (gradients.values[start + filter] - unit * along[at]) * inverses[at]
        }
      }
    }
  }

  func fit<A: Element>(_ values: Buffer<A>, _ workers: Workers) {}
}
