import Collectives
import Tensors
import Testing

@Suite struct SoloCommunicatorTests {
  private let solo = SoloCommunicator()

  @Test func oneRankChangesNothing() throws {
    #expect(solo.rank == 0 && solo.size == 1 && solo.isCoordinator)
    var doubles = [1.5, -2]
    var none: [Double] = []
    try solo.allreduce(&doubles, .sum)
    try solo.allreduce(&doubles, .max)
    try solo.allreduce(&none, .sum)
    #expect(doubles == [1.5, -2])
    let floats = Buffer<Float>([3, 4])
    try solo.allreduce(floats.span)
    let halves = Buffer<Float16>([0.5, -1])
    try solo.allreduce(halves.span)
    #expect(halves.array == [0.5, -1])
    #expect(floats.array == [3, 4])
    try solo.barrier()
    #expect(try solo.duplicate().size == 1)
  }

  @Test func broadcastAndAllgatherReturnWhatWasGiven() throws {
    #expect(try solo.broadcast([1, 2, 3]) == [1, 2, 3])
    #expect(try solo.broadcast([]) == [])
    #expect(try solo.allgather([1.5, 2.5]) == [[1.5, 2.5]])
    #expect(try solo.allgather([Int]()) == [[]])
    var all = [UInt8](repeating: 0, count: 2)
    try [UInt8(7), 8].withUnsafeBytes { mine in
      try all.withUnsafeMutableBytes { try solo.allgather(mine, counts: [2], into: $0) }
    }
    #expect(all == [7, 8])
  }

  @Test func agreeKeepsTheMessage() throws {
    #expect(try solo.agree { 5 } == 5)
    let error = #expect(throws: AgreedFailure.self) {
      try solo.agree { throw Failure.usage("model.head: no such head") }
    }
    #expect(error?.kind == .usage && error?.failure?.message == "model.head: no such head")
  }
}
