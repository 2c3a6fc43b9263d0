import Foundation
import Synchronization

/// One thread at a time, and no more than a few that wait for it.
final class Turn: Sendable {
  private let most: Int
  private let queued = Mutex(0)
  private let lock = NSLock()

  /// - Parameter waiting: threads, besides the one whose turn it is.
  init(waiting: Int) { most = waiting + 1 }

  /// What `body` returns, once it is this thread's turn; nil at once where too many wait.
  func take<Value>(_ body: () -> Value) -> Value? {
    let isTaken = queued.withLock { queued in
      guard queued < most else { return false }
      queued += 1
      return true
    }
    guard isTaken else { return nil }
    defer { queued.withLock { $0 -= 1 } }
    return lock.withLock(body)
  }
}
