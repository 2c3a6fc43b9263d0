/// The multiply-adds that the convolutions and linear layers of one rank have been given, by pass. The thread that runs
/// the network counts, in a rehearsal as in earnest.
package final class Work: @unchecked Sendable {
  package enum Pass: String, CaseIterable, Sendable {
    case forward, backwardData = "backward data", backwardWeights = "backward weights", tangent
  }

  package private(set) var multiplyAdds: [Pass: Int] = [:]

  package init() {}

  package func add(_ pass: Pass, _ count: Int) { multiplyAdds[pass, default: 0] += count }
}
