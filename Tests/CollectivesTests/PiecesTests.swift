import Collectives
import Testing

/// MPI counts in 32 bits; what is longer goes in pieces.
@Suite struct PiecesTests {
  @Test(arguments: [0, 1, 9, 10, 11, 20, 25]) func piecesAreAllOfItInOrder(_ count: Int) {
    let pieces = MPICommunicator.pieces(count, of: 10)
    #expect(
      pieces.map(\.count).reduce(0, +) == count && pieces.first?.lowerBound == 0 && pieces.last?.upperBound == count)
    #expect(zip(pieces, pieces.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(pieces.allSatisfy { $0.count <= 10 } && pieces.count == max(1, (count + 9) / 10))
  }
}
