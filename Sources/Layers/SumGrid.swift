import Tensors

/// The steps that gradients are rounded to before they are summed, so that sums carry no rounding: one for all, or one a tensor.
///
/// A layout's tensors begin at multiples of `blockLength` scalars, so that a block belongs to one tensor.
package final class SumGrid: @unchecked Sendable {
  package static var blockLength: Int { 16 }
  /// Adding and subtracting 1.5·2⁵² steps rounds a number to a multiple of the step.
  private static var shift: Double { 0x1.8p52 }
  private var rounding = 0.0
  private var blocks: Buffer<Double>?

  package init() {}

  /// One step for all; 0: none is rounded.
  package func reset(step: Double) { (rounding, blocks) = (Self.shift * step, nil) }

  /// A step each: of `tensors`, in the order of their layout, of `count` scalars in all.
  package func reset(_ tensors: [(range: Range<Int>, step: Double)], count: Int) {
    let length = Self.blockLength, blocks = blocks ?? Buffer<Double>(count: (count + length - 1) / length)
    for (range, step) in tensors where !range.isEmpty {
      for block in range.lowerBound / length...(range.upperBound - 1) / length { blocks[block] = Self.shift * step }
    }
    self.blocks = blocks
  }

  /// What to add to and subtract from what is added to the gradient at `index`; 0: nothing.
  package func rounding(at index: Int) -> Double { blocks.map { $0[index / Self.blockLength] } ?? rounding }

  /// Calls `body` for the longest parts of `range` that have one step each, in order.
  package func forEachPart(of range: Range<Int>, _ body: (_ part: Range<Int>, _ step: Double) throws -> Void) rethrows {
    var start = range.lowerBound
    while start < range.upperBound {
      let own = rounding(at: start)
      var end = blocks == nil ? range.upperBound : start
      while end < range.upperBound, rounding(at: end) == own {
        end = min(range.upperBound, (end / Self.blockLength + 1) * Self.blockLength)
      }
      try body(start..<end, own / Self.shift)
      start = end
    }
  }
}
