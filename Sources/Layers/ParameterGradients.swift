import Tensors

/// The gradients of all parameters, one flat float64 buffer by the parameters' layout, summed exactly.
///
/// What is added is first rounded to a multiple of a quantum. Sums of such numbers below 2⁵³ quanta carry no rounding
/// error, so neither the order nor the number of ranks that they are added up on changes a bit of them, and training on
/// any number of ranks takes the same course. (Beyond that they are rounded like any sum.) The quantum, 2⁻³⁶ of the
/// unscaled gradient, is far below what float32 products leave of one and below Adam's ε of 10⁻⁸.
package final class ParameterGradients {
  package let values: Buffer<Double>
  /// Adding and subtracting it rounds a number to a multiple of the quantum; 0 leaves it.
  private(set) var rounding = 0.0

  /// Where the complete end of the layout begins, and ranges before it, by where they end.
  private var completeFrom: Int
  private var completed: [Int: Int] = [:]

  /// Told by `complete` how far down the gradients of this pass are final.
  package var onCompletion: ((_ index: Int) -> Void)?

  /// Zero. Without a quantum (as in float64, where nothing is to be lost) sums are ordinary.
  package init(count: Int) { (values, completeFrom) = (Buffer(count: count), count) }

  /// Zero again, for gradients of `scale` times the loss. `A` is the accumulator of what will be added.
  package func reset<A: Element>(scale: Double, _: A.Type) {
    values.zero()
    (completeFrom, completed) = (values.count, [:])
    rounding = A.precision == .float64 ? 0 : 0x1.8p52 * 0x1p-36 * scale
  }

  /// Nothing will be added to this range of the layout any more. What is told on is the end of the layout as far as it is
  /// complete, whatever the order in which ranges become so.
  package func complete(_ range: Range<Int>) {
    completed[range.upperBound] = range.lowerBound
    let before = completeFrom
    while let lower = completed.removeValue(forKey: completeFrom) { completeFrom = lower }
    if completeFrom < before { onCompletion?(completeFrom) }
  }

  package func add(_ value: Double, at index: Int) { values[index] += (value + rounding) - rounding }

  package subscript(index: Int) -> Double { values[index] }
}
