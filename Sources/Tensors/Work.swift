/// What one rank has been given to do: the multiply-adds of convolutions and linear layers by pass, and the bytes that layers
/// read and write, each tensor once a pass, as if nothing stayed in a cache between passes and everything within one. The
/// thread that runs the network counts, in a rehearsal as in earnest.
package final class Work: @unchecked Sendable {
  package enum Pass: String, CaseIterable, Sendable {
    case forward, backwardData = "backward data", backwardWeights = "backward weights", tangent
  }

  package enum Traffic: String, CaseIterable, Sendable {
    /// Activations and their gradients.
    case activations
    /// Working weights and the gradients of weights.
    case weights
  }

  package private(set) var multiplyAdds: [Pass: Int] = [:]
  /// Those that are carried out: fewer where products are saved (Winograd).
  package private(set) var performed: [Pass: Int] = [:]
  package private(set) var bytes: [Traffic: Int] = [:]
  /// What the body of a loop allocates at most while it runs, of each thread.
  package private(set) var heldBytes = 0

  package init() {}

  /// `performed`: nil where all are.
  package func add(_ pass: Pass, _ count: Int, performed: Int? = nil) {
    multiplyAdds[pass, default: 0] += count
    self.performed[pass, default: 0] += performed ?? count
  }

  package func move(_ traffic: Traffic, _ count: Int) { bytes[traffic, default: 0] += count }

  package func hold(bytes: Int) { heldBytes = max(heldBytes, bytes) }
}
