import Collectives
import Losses
import Tensors
import Testing

@Suite struct ReIDLossTests {
  private let labels = [0, 0, 1, 1, 2, 2, 3]
  private let length = 6, classes = 5

  private func normals(_ count: Int, seed: UInt64) -> [Double] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    return (0..<count).map { _ in Double(Float(random.normal())) }
  }

  private struct Share: Sendable {
    let total: Double, crossEntropy: Double, triplet: Double
    let rows: Int
    let embeddingBar: [Double], logitsBar: [Double]
  }

  private func evaluate<A: Element>(
    _: A.Type, _ loss: ReIDLoss, _ counts: [Int], scale: Double = 1
  ) throws -> [Share] {
    let embeddings = normals(labels.count * length, seed: 1)
    let logits = normals(labels.count * classes, seed: 2)
    let labels = labels
    let length = length
    let classes = classes
    return try ThreadCommunicator.run(counts.count) { communicator in
      let first = counts[..<communicator.rank].reduce(0, +)
      let own = first..<first + counts[communicator.rank]
      let arena = Arena()
      func rows(_ values: [Double], _ columns: Int) -> Tensor<A> {
        let tensor = Tensor<A>(Shape(own.count, 1, 1, columns), in: arena)
        tensor.fill(values[own.lowerBound * columns..<own.upperBound * columns].map { A($0) })
        return tensor
      }
      let (value, embeddingBar, logitsBar) = try loss.evaluate(
        embedding: rows(embeddings, length), logits: rows(logits, classes), labels: Array(labels[own]), scale: scale,
        in: arena,
        communicator)
      return Share(
        total: value.total, crossEntropy: value.crossEntropy, triplet: value.triplet, rows: value.rows,
        embeddingBar: embeddingBar.array.map { Double($0) }, logitsBar: logitsBar.array.map { Double($0) })
    }
  }

  @Test func isTheWeightedSumOfItsTerms() throws {
    let embeddings = normals(labels.count * length, seed: 1)
    let logits = normals(labels.count * classes, seed: 2)
    let cross = SoftmaxCrossEntropy.evaluate(logits, classes: classes, labels: labels, globalRows: 7)
    let triplet = BatchHardTriplet.evaluate(embeddings, length: length, labels: labels, margin: 0.4, own: 0..<7)
    let share = try evaluate(Double.self, ReIDLoss(tripletWeight: 1.5, margin: 0.4), [7], scale: 8)[0]
    #expect(share.crossEntropy == cross.loss && share.triplet == triplet.loss && share.rows == 7)
    #expect(abs(share.total - (cross.loss + 1.5 * triplet.loss)) < 1e-15)
    #expect(share.logitsBar == cross.gradient.map { 8 * $0 })
    #expect(zip(share.embeddingBar, triplet.gradient).allSatisfy { abs($0 - 12 * $1) < 1e-14 })
    #expect(triplet.loss > 0)
  }

  @Test(arguments: [[3, 4], [2, 0, 5], [1, 1, 4, 1], [0, 7]]) func unevenRanksEqualOne(_ counts: [Int]) throws {
    let loss = ReIDLoss(tripletWeight: 1, margin: 0.3)
    let one = try evaluate(Double.self, loss, [7])[0]
    let many = try evaluate(Double.self, loss, counts)
    for share in many {
      #expect(abs(share.total - one.total) < 1e-14 && abs(share.crossEntropy - one.crossEntropy) < 1e-14)
      #expect(share.triplet == one.triplet && share.rows == 7)
      #expect(share.total == many[0].total, "the same bits on every rank")
    }
    #expect(many.flatMap(\.embeddingBar) == one.embeddingBar)
    #expect(many.flatMap(\.logitsBar) == one.logitsBar)
    let single = try evaluate(Float.self, loss, counts)
    #expect(zip(single.flatMap(\.embeddingBar), one.embeddingBar).allSatisfy { $0 == Double(Float($1)) })
  }

  @Test func withoutTripletThereIsOnlyCrossEntropy() throws {
    let share = try evaluate(Double.self, ReIDLoss(tripletWeight: 0, margin: 0.3), [7])[0]
    #expect(share.total == share.crossEntropy && share.triplet == 0)
    #expect(share.embeddingBar.allSatisfy { $0 == 0 })
  }
}
