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

  /// The rows of all ranks.
  private struct Batch {
    let embeddings: [Double], labels: [Int]
    /// This rank's rows.
    let own: Range<Int>

    init<A: Element>(_ embedding: Tensor<A>, _ own: [Int], _ communicator: any Communicator) throws {
      embeddings = try Self.gather(embedding, communicator)
      let labelsOfRanks = try communicator.allgather(own)
      labels = Array(labelsOfRanks.joined())
      let first = labelsOfRanks[..<communicator.rank].reduce(0) { $0 + $1.count }
      self.own = first..<first + own.count
    }

    static func gather<A: Element>(_ rows: Tensor<A>, _ communicator: any Communicator) throws -> [Double] {
      Array(try communicator.allgather(rows.array.map { Double($0) }).joined())
    }
  }

  /// The loss, and the gradients of `scale`·L with respect to this rank's rows: `embedding` is n×1×1×length, `logits`
  /// n×1×1×classes, `labels` n class numbers.
  package func evaluate<A: Element>(
    embedding: Tensor<A>, logits: Tensor<A>, labels: [Int], scale: Double, in arena: Arena,
    _ communicator: any Communicator
  ) throws -> (value: Value, embeddingBar: Tensor<A>, logitsBar: Tensor<A>) {
    let batch = try Batch(embedding, labels, communicator), rows = batch.labels.count
    let cross = SoftmaxCrossEntropy.evaluate(
      logits.array.map { Double($0) }, classes: logits.shape.channels, labels: labels, globalRows: rows)
    var crossEntropy = [cross.loss]
    try communicator.allreduce(&crossEntropy, .sum)
    let logitsBar = Tensor<A>(logits.shape, in: arena)
    logitsBar.fill(cross.gradient.map { A($0 * scale) })

    var triplet = (loss: 0.0, gradient: [Double](repeating: 0, count: embedding.shape.count))
    if tripletWeight > 0 {
      triplet = BatchHardTriplet.evaluate(
        batch.embeddings, length: embedding.shape.channels, labels: batch.labels, margin: margin, own: batch.own)
    }
    let embeddingBar = Tensor<A>(embedding.shape, in: arena)
    embeddingBar.fill(triplet.gradient.map { A($0 * tripletWeight * scale) })
    let value = Value(
      total: crossEntropy[0] + tripletWeight * triplet.loss, crossEntropy: crossEntropy[0], triplet: triplet.loss,
      rows: rows)
    return (value, embeddingBar, logitsBar)
  }

  /// The gradients of `scale`·(L + weight·L˙) with respect to this rank's rows, L˙ being the derivative of L along the
  /// tangents of the rows, from those of `scale`·L.
  package func evaluateTangent<A: Element>(
    at outputs: (embedding: Tensor<A>, logits: Tensor<A>), along dots: (embedding: Tensor<A>, logits: Tensor<A>),
    from bars: (embedding: Tensor<A>, logits: Tensor<A>), labels: [Int], scale: Double, weight: Double, in arena: Arena,
    _ communicator: any Communicator
  ) throws -> (embedding: Tensor<A>, logits: Tensor<A>) {
    let (embedding, logits) = outputs
    let batch = try Batch(embedding, labels, communicator), tangents = try Batch.gather(dots.embedding, communicator)
    let cross = SoftmaxCrossEntropy.gradientTangent(
      logits.array.map { Double($0) }, tangents: dots.logits.array.map { Double($0) }, classes: logits.shape.channels,
      globalRows: batch.labels.count)
    var triplet = [Double](repeating: 0, count: embedding.shape.count)
    if tripletWeight > 0 {
      triplet = BatchHardTriplet.gradientTangent(
        batch.embeddings, tangents: tangents, length: embedding.shape.channels, labels: batch.labels, margin: margin,
        own: batch.own)
    }
    func sum(_ bar: Tensor<A>, _ tangent: [Double], _ factor: Double) -> Tensor<A> {
      let result = Tensor<A>(bar.shape, in: arena)
      result.fill(zip(bar.array, tangent).map { A(Double($0) + $1 * factor) })
      return result
    }
    return (
      sum(bars.embedding, triplet, tripletWeight * scale * weight), sum(bars.logits, cross, scale * weight)
    )
  }
}
