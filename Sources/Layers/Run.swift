import Collectives
import Kernels
import Tensors

package enum RunMode: Sendable, Equatable {
  /// Statistics of the global batch; what later passes need is kept. Randomness is counted by `seed`, `step` and the
  /// position of an image in the global batch, of which the rank's first is `firstRow`.
  case training(seed: UInt64, step: Int, firstRow: Int)
  /// Running statistics; nothing is kept.
  case evaluation
}

/// What the passes of a layer run in on one rank: where they compute, with which parameters, in which mode.
package final class Run<E: Element> {
  package typealias A = E.Accumulator

  package let context: Context<E>
  package let parameters: Parameters<A>
  package let mode: RunMode
  /// The running statistics to move if the step counts.
  package let updates: RunningUpdates
  /// In a rehearsal that takes stock.
  let inventory: Inventory?
  private let waiting: ((Range<Int>) throws -> Void)?

  /// - Parameter waiting: returns when this range of the parameters may be read; nil where all may.
  package init(
    _ context: Context<E>, _ parameters: Parameters<A>, _ mode: RunMode, _ updates: RunningUpdates = RunningUpdates(),
    inventory: Inventory? = nil, waiting: ((Range<Int>) throws -> Void)? = nil
  ) {
    (self.context, self.parameters, self.mode, self.updates) = (context, parameters, mode, updates)
    (self.inventory, self.waiting) = (inventory, waiting)
  }

  /// Before a forward pass reads parameters of this range: they may be on their way.
  package func require(_ range: Range<Int>) throws { try waiting?(range) }

  package var isTraining: Bool { mode != .evaluation }
  package var communicator: any Communicator { context.communicator }

  /// The same for layers that compute in the accumulator.
  package var accumulating: Run<A> {
    Run<A>(context.accumulating, parameters, mode, updates, inventory: inventory, waiting: waiting)
  }
}

/// The statistics of the norms that a step has used, to be moved when the step counts (a skipped one does not).
package final class RunningUpdates {
  private var updates: [() -> Void] = []

  package init() {}

  package func add(_ update: @escaping () -> Void) { updates.append(update) }

  package func commit() { for update in updates { update() } }
}

extension Run {
  /// What `body` does is one row of the inventory, if there is one. `countedAt`: the input and output shape to count with
  /// in place of the real ones, where a published network does the same on more pixels.
  package func row<T>(
    _ name: @autoclosure () -> String, _ output: (T) -> Shape, countedAt: Shape? = nil, _ body: () throws -> T
  ) rethrows -> T {
    guard let inventory else { return try body() }
    return try inventory.row(name(), output, countedAt: countedAt, body)
  }

  /// Takes stock of parameters, in a rehearsal.
  package func note(_ slots: [ParameterLayout.Slot]) { inventory?.add(slots) }
}
