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
  /// The tensors, where each has a step of its own: they cover the layout, with what is between them.
  private var parts: [(range: Range<Int>, step: Double)] = []

  package init() {}

  /// One step for all; 0: none is rounded.
  package func reset(step: Double) { (rounding, blocks, parts) = (Self.shift * step, nil, []) }

  /// A step each: of `tensors`, in the order of their layout, of `count` scalars in all.
  package func reset(_ tensors: [(range: Range<Int>, step: Double)], count: Int) {
    let length = Self.blockLength, blocks = blocks ?? Buffer<Double>(count: (count + length - 1) / length)
    for (range, step) in tensors where !range.isEmpty {
      for block in range.lowerBound / length...(range.upperBound - 1) / length { blocks[block] = Self.shift * step }
    }
    self.blocks = blocks
    parts = tensors.filter { !$0.range.isEmpty }
    for index in parts.indices {
      let end = index + 1 < parts.count ? parts[index + 1].range.lowerBound : count
      parts[index].range = (index == 0 ? 0 : parts[index].range.lowerBound)..<end
    }
  }

  /// What to add to and subtract from what is added to the gradient at `index`; 0: nothing.
  package func rounding(at index: Int) -> Double { blocks.map { $0[index / Self.blockLength] } ?? rounding }

  /// Calls `body` for the parts of `range` that have one step each, in order; step 0: nothing is rounded.
  package func forEachPart(of range: Range<Int>, _ body: (_ part: Range<Int>, _ step: Double) throws -> Void) rethrows {
    guard !range.isEmpty else { return }
    guard !parts.isEmpty else { return try body(range, rounding / Self.shift) }
    var low = 0, high = parts.count
    while low < high {
      let middle = (low + high) / 2
      if parts[middle].range.upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
    }
    for part in parts[low...].prefix(while: { $0.range.lowerBound < range.upperBound }) {
      try body(part.range.clamped(to: range), part.step)
    }
  }
}
