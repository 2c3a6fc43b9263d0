import Foundation

/// A message that is on its way.
package protocol Transfer {
  /// Whether its bytes have been read, or have come; returns at once.
  func isDone() throws -> Bool
}

/// Messages between two ranks: received in the order in which they were sent, of the same length on both sides.
package protocol PointToPoint: Sendable {
  var rank: Int { get }
  /// The bytes stay as they are until the transfer is done.
  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int) throws -> any Transfer
  func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int) throws -> any Transfer
}

/// Sleeps between looks, longer and longer: for a thread that waits beside a computation on the same core.
struct Patience {
  private static let shortest: UInt32 = 50, longest: UInt32 = 400
  private var microseconds = Self.shortest

  mutating func wait() {
    usleep(microseconds)
    microseconds = min(2 * microseconds, Self.longest)
  }

  mutating func reset() { microseconds = Self.shortest }
}
