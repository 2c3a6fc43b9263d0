import Tensors

/// What losses see of a head, of this rank's rows: the values, or their gradients or tangents.
package struct HeadValues<A: Element> {
  /// n × 1 × 1 × length: what metric losses see.
  package let embedding: Tensor<A>
  /// n × 1 × 1 × classes.
  package let logits: Tensor<A>

  package init(embedding: Tensor<A>, logits: Tensor<A>) { (self.embedding, self.logits) = (embedding, logits) }
}
