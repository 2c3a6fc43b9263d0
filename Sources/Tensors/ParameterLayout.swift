/// Where each named tensor stands in a flat buffer. Values, gradients and moments are buffers of one layout, so
/// that allreduce, Adam, norms and checkpoints are each one pass over memory.
package struct ParameterLayout: Sendable {
  /// What a tensor is; regularizers and weight decay choose by it.
  package enum Kind: String, Sendable {
    case convolution, linear, bias, normScale, normShift, centre, exponent, slope, statistic, strength
  }

  /// How the values of a tensor begin.
  package enum Start: Sendable, Equatable {
    /// As its kind says.
    case usual
    /// All with this value.
    case constant(Double)
    /// Uniform within ± 1/√fan-in, whatever other weights do.
    case fanIn
  }

  /// One tensor of the layout.
  package struct Slot: Sendable, Equatable {
    package let name: String
    package let kind: Kind
    /// The shape in files: OIHW for a convolution, OI for a linear layer. In memory the output channel is
    /// innermost: [kernel row][kernel column][input][output], the matrix that the GEMM multiplies with.
    package let shape: [Int]
    package let range: Range<Int>
    /// What its values begin as.
    package let start: Start
    package var count: Int { range.count }
  }

  package private(set) var slots: [Slot] = []
  /// The length of a buffer, padding included.
  package private(set) var count = 0
  private var names: [String: Int] = [:]

  package init() {}

  /// Adds a tensor at the next multiple of 16 scalars. A name that is already there is a programmer's mistake.
  package mutating func add(_ name: String, _ kind: Kind, shape: [Int], start: Start = .usual) -> Slot {
    precondition(names[name] == nil, "two tensors are named \(name)")
    let size = shape.reduce(1, *)
    let slot = Slot(name: name, kind: kind, shape: shape, range: count..<count + size, start: start)
    names[name] = slots.count
    slots.append(slot)
    count = (count + size + 15) / 16 * 16
    return slot
  }

  package subscript(name: String) -> Slot? { names[name].map { slots[$0] } }

  /// How many scalars the tensors hold, without padding.
  package var scalars: Int { slots.reduce(0) { $0 + $1.count } }

  /// The values of a slot in file order (O outermost) from memory order (O innermost).
  package static func toFile<A: Element>(_ slot: Slot, _ values: UnsafeMutablePointer<A>) -> [A] {
    toFile(slot, first: values + slot.range.lowerBound)
  }

  /// The same from the slot's first value on.
  package static func toFile<A: Element>(_ slot: Slot, first: UnsafeMutablePointer<A>) -> [A] {
    [A](unsafeUninitializedCapacity: slot.count) { file, count in
      permute(slot, from: first, to: file.baseAddress!, toFile: true)
      count = slot.count
    }
  }

  /// Stores values in file order into memory order.
  package static func fromFile<A: Element>(_ slot: Slot, _ file: [A], to values: UnsafeMutablePointer<A>) {
    precondition(file.count == slot.count)
    file.withUnsafeBufferPointer {
      permute(slot, from: $0.baseAddress!, to: values + slot.range.lowerBound, toFile: false)
    }
  }

  /// Moves words of the element's size: compiled for each size, where the generic element would be called for every scalar.
  private static func permute<A: Element>(
    _ slot: Slot, from source: UnsafePointer<A>, to target: UnsafeMutablePointer<A>, toFile: Bool
  ) {
    let source = UnsafeRawPointer(source), target = UnsafeMutableRawPointer(target)
    func words<W: FixedWidthInteger>(_: W.Type) {
      permute(
        slot, source.assumingMemoryBound(to: W.self), target.assumingMemoryBound(to: W.self), toFile: toFile)
    }
    switch MemoryLayout<A>.size {
    case 2: words(UInt16.self)
    case 4: words(UInt32.self)
    default: words(UInt64.self)
    }
  }

  private static func permute<W: FixedWidthInteger>(
    _ slot: Slot, _ source: UnsafePointer<W>, _ target: UnsafeMutablePointer<W>, toFile: Bool
  ) {
    guard slot.kind == .convolution || slot.kind == .linear else {
      target.update(from: source, count: slot.count)
      return
    }
    let outputs = slot.shape[0], inputs = slot.shape[1], taps = slot.shape.dropFirst(2).reduce(1, *)
    for tap in 0..<taps {
      for input in 0..<inputs {
        let memory = (tap * inputs + input) * outputs, file = input * taps + tap, step = inputs * taps
        if toFile {
          for output in 0..<outputs { target[file + output * step] = source[memory + output] }
        } else {
          for output in 0..<outputs { target[memory + output] = source[file + output * step] }
        }
      }
    }
  }
}
