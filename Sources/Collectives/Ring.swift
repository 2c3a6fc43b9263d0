/// Numbers that ranks sum.
package protocol Summand: BitwiseCopyable {
  static func sum(_ x: Self, _ y: Self) -> Self
}

extension Double: Summand { package static func sum(_ x: Double, _ y: Double) -> Double { x + y } }
extension Float: Summand { package static func sum(_ x: Float, _ y: Float) -> Float { x + y } }
/// In float32, rounded to nearest.
extension Float16: Summand {
  package static func sum(_ x: Float16, _ y: Float16) -> Float16 { Float16(Float(x) + Float(y)) }
}
extension Int32: Summand { package static func sum(_ x: Int32, _ y: Int32) -> Int32 { x &+ y } }

/// Ranks in a ring, each of which sends to the next and receives from the one before (Patarasu and Yuan, 2009, "Bandwidth
/// optimal all-reduce algorithms").
///
/// Values are cut into a chunk a member. In step s member p sends chunk p − s and receives chunk p − s − 1: in the first n − 1
/// steps partial sums, which it adds to its own, so that member p then has the sum of chunk p + 1; in the other n − 1 sums.
/// A chunk goes in segments, each as soon as it has come, and never more than a window's ahead of what has come: what others
/// send over the same network waits behind little.
struct Ring {
  let members: [Int]
  private let position: Int
  private let messages: any PointToPoint
  private let segmentBytes: Int, window: Int

  /// - Parameter members: ranks in the order of the ring, `messages.rank` among them.
  init(_ members: [Int], _ messages: any PointToPoint, segmentBytes: Int, window: Int) {
    (self.members, self.messages) = (members, messages)
    (self.segmentBytes, self.window) = (segmentBytes, window)
    position = members.firstIndex(of: messages.rank)!
  }

  private var size: Int { members.count }

  /// What this member has the sum of after `reduceScatter`.
  func ownChunk(of count: Int) -> Range<Int> { chunk((position + 1) % size, of: count) }

  private func chunk(_ index: Int, of count: Int) -> Range<Int> {
    let length = (count + size - 1) / size
    return min(count, index * length)..<min(count, (index + 1) * length)
  }

  func allreduce<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    try pass(values, steps: 0..<2 * (size - 1))
  }

  /// The first half: each member has the sum of its own chunk, and something in the others.
  func reduceScatter<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    try pass(values, steps: 0..<size - 1)
  }

  /// The second half: every member's own chunk on all.
  func allgather<T: Summand>(_ values: UnsafeMutableBufferPointer<T>) throws {
    try pass(values, steps: size - 1..<2 * (size - 1))
  }

  // It is called through protocols, where the compiler does not know the numbers.
  @_specialize(where T == Double)
  @_specialize(where T == Float)
  @_specialize(where T == Float16)
  @_specialize(where T == Int32)
  private func pass<T: Summand>(_ values: UnsafeMutableBufferPointer<T>, steps: Range<Int>) throws {
    guard size > 1, !values.isEmpty else { return }
    let next = members[(position + 1) % size], previous = members[(position + size - 1) % size]
    let length = max(1, segmentBytes / MemoryLayout<T>.stride)
    let segments = (chunk(0, of: values.count).count + length - 1) / length
    let total = steps.count * segments
    let partials = UnsafeMutableBufferPointer<T>.allocate(capacity: window * length)
    defer { partials.deallocate() }

    func part(_ message: Int, behind: Int) -> Range<Int> {
      let step = steps.lowerBound + message / segments
      let chunk = chunk((position - step - behind + 2 * size) % size, of: values.count)
      let start = min(chunk.upperBound, chunk.lowerBound + message % segments * length)
      return start..<min(chunk.upperBound, start + length)
    }
    func isPartial(_ message: Int) -> Bool { steps.lowerBound + message / segments < size - 1 }
    func partial(_ message: Int) -> UnsafeMutableBufferPointer<T> {
      let start = message % window * length
      return UnsafeMutableBufferPointer(rebasing: partials[start..<start + part(message, behind: 1).count])
    }

    var begun = 0, received = 0, sent = 0, delivered = 0
    var arriving: [any Transfer] = [], leaving: [any Transfer] = [], patience = Patience()
    // A sum comes to where a partial sum was sent from, a round before.
    func mayReceive(_ message: Int) -> Bool {
      message < min(total, received + window)
        && (steps.lowerBound > 0 || isPartial(message) || message - (size - 1) * segments < delivered)
    }
    while received < total || delivered < total {
      while mayReceive(begun) {
        let place =
          isPartial(begun) ? partial(begun) : UnsafeMutableBufferPointer(rebasing: values[part(begun, behind: 1)])
        arriving.append(try messages.receive(UnsafeMutableRawBufferPointer(place), from: previous))
        begun += 1
      }
      while sent < min(total, received + window), sent - segments < received {
        let place = UnsafeBufferPointer(rebasing: values[part(sent, behind: 0)])
        leaving.append(try messages.send(UnsafeRawBufferPointer(place), to: next))
        sent += 1
      }
      var moved = false
      while let first = arriving.first, try first.isDone() {
        arriving.removeFirst()
        if isPartial(received) {
          let sum = values.baseAddress! + part(received, behind: 1).lowerBound, partial = partial(received)
          for i in partial.indices { sum[i] = T.sum(sum[i], partial[i]) }
        }
        (received, moved) = (received + 1, true)
      }
      while let first = leaving.first, try first.isDone() {
        leaving.removeFirst()
        (delivered, moved) = (delivered + 1, true)
      }
      if moved { patience.reset() } else { patience.wait() }
    }
  }
}
