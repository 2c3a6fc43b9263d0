import Tensors

/// The gradients of all parameters, one flat float64 buffer by the parameters' layout, summed exactly.
///
/// What is added is first rounded to a multiple of a quantum. Sums of such numbers below 2⁵³ quanta carry no rounding
/// error, so neither the order nor the number of ranks that they are added up on changes a bit of them, and training on
/// any number of ranks takes the same course. (Beyond that they are rounded like any sum.) The quantum, 2⁻³⁶ of the
/// unscaled gradient, is far below what float32 products leave of one and below Adam's ε of 10⁻⁸; coarser ones, a tensor each,
/// make sums fit four bytes (`GradientMagnitudes`).
package final class ParameterGradients {
  package let values: Buffer<Double>
  /// What is added is rounded to.
  package let grid = SumGrid()

  /// Where the complete end of the layout begins, and ranges before it, by where they end.
  private var completeFrom: Int
  private var completed: [Int: Int] = [:]

  /// Told by `complete` how far down the gradients of this pass are final.
  package var onCompletion: ((_ index: Int) -> Void)?

  /// Zero. Without a quantum (as in float64, where nothing is to be lost) sums are ordinary.
  package init(count: Int) { (values, completeFrom) = (Buffer(count: count), count) }

  /// Zero again, for gradients of `scale` times the loss. `A` is the accumulator of what will be added; `steps` what is rounded
  /// to where that is not the quantum.
  package func reset<A: Element>(scale: Double, _: A.Type, steps: [(range: Range<Int>, step: Double)]? = nil) {
    values.zero()
    (completeFrom, completed) = (values.count, [:])
    if let steps, A.precision != .float64 {
      grid.reset(steps, count: values.count)
    } else {
      grid.reset(step: A.precision == .float64 ? 0 : Self.quantum * scale)
    }
  }

  /// Of the unscaled gradient.
  package static var quantum: Double { 0x1p-36 }

  /// Nothing will be added to this range of the layout any more. What is told on is the end of the layout as far as it is
  /// complete, whatever the order in which ranges become so.
  package func complete(_ range: Range<Int>) {
    completed[range.upperBound] = range.lowerBound
    let before = completeFrom
    while let lower = completed.removeValue(forKey: completeFrom) { completeFrom = lower }
    if completeFrom < before { onCompletion?(completeFrom) }
  }

  package func add(_ value: Double, at index: Int) {
    let rounding = grid.rounding(at: index)
    values[index] += (value + rounding) - rounding
  }

  package subscript(index: Int) -> Double { values[index] }
}
