import Collectives
import Layers
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
    /// Of L + weight·L˙.
    let tangentBars: [[Double]]
  }

  /// The batch, on the line through it along its tangents.
  private func outputs(_ step: Double) -> (embeddings: [Double], logits: [Double]) {
    func moved(_ count: Int, _ seed: UInt64) -> [Double] {
      zip(normals(count, seed: seed), normals(count, seed: seed + 2)).map { $0 + step * $1 }
    }
    return (moved(labels.count * length, 1), moved(labels.count * classes, 2))
  }

  private func evaluate<A: Element>(
    _: A.Type, _ loss: ReIDLoss, _ counts: [Int], scale: Double = 1, weight: Double = 0.25, step: Double = 0
  ) throws -> [Share] {
    let (embeddings, logits) = outputs(step)
    let dots = normals(labels.count * length, seed: 3), logitsDots = normals(labels.count * classes, seed: 4)
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
      let (embedding, logits) = (rows(embeddings, length), rows(logits, classes))
      let all = try GlobalRows(RowLabels(identities: Array(labels[own])), communicator)
      let outputs = [HeadValues(embedding: embedding, logits: logits)], none = [[[Double](), []]]
      let (value, bars) = try loss.evaluate(outputs, none, all, scale: scale, in: arena, communicator)
      let h = try loss.evaluateTangent(
        at: outputs, along: [HeadValues(embedding: rows(dots, length), logits: rows(logitsDots, classes))], from: bars,
        none, all, scale: scale, weight: weight, in: arena, communicator)[0].values
      #expect(value.terms.map(\.name) == ["crossEntropy", "triplet"])
      return Share(
        total: value.total, crossEntropy: value.terms[0].value, triplet: value.terms[1].value, rows: value.rows,
        embeddingBar: bars[0].values.embedding.array.map { Double($0) },
        logitsBar: bars[0].values.logits.array.map { Double($0) },
        tangentBars: [h.embedding, h.logits].map { $0.array.map { Double($0) } })
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

  /// The gradients of scale·(L + weight·L˙): scale·weight times the derivative of L's, added to those of scale·L.
  @Test func tangentsAreTheDerivativeOfTheGradients() throws {
    let loss = ReIDLoss(tripletWeight: 1.5, margin: 3)
    let share = try evaluate(Double.self, loss, [7], scale: 8, weight: 0.25)[0]
    let up = try evaluate(Double.self, loss, [7], step: 1e-6)[0]
    let down = try evaluate(Double.self, loss, [7], step: -1e-6)[0]
    let bars = share.tangentBars
    let parts = [
      (bars[0], share.embeddingBar, up.embeddingBar, down.embeddingBar),
      (bars[1], share.logitsBar, up.logitsBar, down.logitsBar),
    ]
    for (h, bar, up, down) in parts {
      var size = 0.0
      for i in h.indices {
        let tangent = (up[i] - down[i]) / 2e-6
        #expect(abs(h[i] - (bar[i] + 8 * 0.25 * tangent)) < 1e-8)
        size += abs(tangent)
      }
      #expect(h.count == bar.count && size > 0.1)
    }
  }

  @Test(arguments: [[3, 4], [2, 0, 5], [1, 1, 4, 1], [0, 7]]) func tangentsOfUnevenRanksEqualOne(_ counts: [Int]) throws
  {
    let loss = ReIDLoss(tripletWeight: 1, margin: 3)
    let one = try evaluate(Double.self, loss, [7])[0].tangentBars
    let many = try evaluate(Double.self, loss, counts).map(\.tangentBars)
    for i in 0..<2 { #expect(many.flatMap { $0[i] } == one[i]) }
    let single = try evaluate(Float.self, loss, counts).map(\.tangentBars)
    for i in 0..<2 { #expect(zip(single.flatMap { $0[i] }, one[i]).allSatisfy { abs($0 - $1) < 1e-6 }) }
  }

  @Test func withoutTripletTheEmbeddingHasNoTangent() throws {
    let share = try evaluate(Double.self, ReIDLoss(tripletWeight: 0, margin: 0.3), [3, 4])[1]
    let bars = share.tangentBars
    #expect(bars[0].allSatisfy { $0 == 0 } && bars[1] != share.logitsBar)
  }

  /// Every rank has all labels, each column in the order of ranks, also where ranks have different numbers of rows or none.
  @Test func labelsOfAllRanksAreGathered() throws {
    let identities = [4, 4, 1, 0, 2], cameras = [0, 1, 2, 1, 0], parts = [6, 0, 3, 5, 1], counts = [3, 0, 2]
    let gathered = try ThreadCommunicator.run(3) { communicator in
      let first = counts[..<communicator.rank].reduce(0, +), own = first..<first + counts[communicator.rank]
      let rows = try GlobalRows(
        RowLabels(identities: Array(identities[own]), cameras: Array(cameras[own]), parts: Array(parts[own])),
        communicator)
      #expect(rows.own == own && rows.count == 5)
      return rows.labels
    }
    for labels in gathered {
      #expect(labels[.identity] == identities && labels[.camera] == cameras && labels[.part] == parts)
    }
    let mixed = RowLabels(
      identities: [0, 1], parts: [2, 3], mixes: [.init(identity: 1, camera: 4, part: 5, share: 0.25), nil])
    #expect(mixed.second(.part) == [SecondLabel(label: 5, share: 0.25), nil])
    #expect(mixed.second(.identity)[0]?.label == 1 && mixed.second(.camera)[0]?.label == 4)
  }
}
