import Collectives
import Tensors

/// L = cross-entropy + w · batch-hard triplet, both means over the *global* batch of all ranks, whatever their shares.
///
/// Collectives: the embeddings and labels of all ranks are gathered; the cross-entropy is summed.
package struct ReIDLoss: Sendable {
  package let tripletWeight: Double
  package let margin: Double

  package init(tripletWeight: Double, margin: Double) {
    self.tripletWeight = tripletWeight
    self.margin = margin
  }

  package struct Value: Sendable {
    package let total: Double, crossEntropy: Double, triplet: Double
    /// B, over all ranks.
    package let rows: Int
  }

  /// The loss, and the gradients of `scale`·L with respect to this rank's rows: `embedding` is n×1×1×length, `logits`
  /// n×1×1×classes, `labels` n class numbers.
  package func evaluate<A: Element>(
    embedding: Tensor<A>, logits: Tensor<A>, labels: [Int], scale: Double, in arena: Arena,
    _ communicator: any Communicator
  ) throws -> (value: Value, embeddingBar: Tensor<A>, logitsBar: Tensor<A>) {
    let length = embedding.shape.channels
    let embeddings = try communicator.allgather(embedding.array.map { Double($0) })
    let labelsOfRanks = try communicator.allgather(labels)
    let rows = labelsOfRanks.reduce(0) { $0 + $1.count }
    let first = labelsOfRanks[..<communicator.rank].reduce(0) { $0 + $1.count }

    let cross = SoftmaxCrossEntropy.evaluate(
      logits.array.map { Double($0) }, classes: logits.shape.channels, labels: labels, globalRows: rows)
    var crossEntropy = [cross.loss]
    try communicator.allreduce(&crossEntropy, .sum)
    let logitsBar = Tensor<A>(logits.shape, in: arena)
    logitsBar.fill(cross.gradient.map { A($0 * scale) })

    var triplet = (loss: 0.0, gradient: [Double](repeating: 0, count: labels.count * length))
    if tripletWeight > 0 {
      triplet = BatchHardTriplet.evaluate(
        Array(embeddings.joined()), length: length, labels: Array(labelsOfRanks.joined()), margin: margin,
        own: first..<first + labels.count)
    }
    let embeddingBar = Tensor<A>(embedding.shape, in: arena)
    embeddingBar.fill(triplet.gradient.map { A($0 * tripletWeight * scale) })
    let value = Value(
      total: crossEntropy[0] + tripletWeight * triplet.loss, crossEntropy: crossEntropy[0], triplet: triplet.loss,
      rows: rows)
    return (value, embeddingBar, logitsBar)
  }
}
