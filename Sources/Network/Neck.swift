import Layers
import Tensors

/// From a pooled feature (n×1×1×F) to what a head gives, in accumulator precision.
package protocol Neck<A>: AnyObject {
  associatedtype A: Element where A.Accumulator == A
  /// To be packed.
  var maps: [any LinearMap<A>] { get }
  /// Of what the classifier reads, and of what is retrieved by.
  var classifiedLength: Int { get }
  /// Of what metric losses see.
  var embeddingLength: Int { get }
  var descriptorLength: Int { get }
  func forward(_ feature: Tensor<A>, _ classifier: any Classifier<A>, _ run: Run<A>) throws -> any NeckPasses<A>
  /// The descriptor, as operators of `graph`.
  func express(_ feature: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

package protocol NeckPasses<A>: AnyObject {
  associatedtype A: Element where A.Accumulator == A
  var outputs: HeadOutputs<A> { get }
  /// From the tangent of the feature to those of embedding and logits. After a recording backward pass.
  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) throws -> HeadValues<A>
  /// From the gradients of embedding (as far as a loss reads it itself) and logits to that of the feature.
  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) throws -> Tensor<A>
}

/// What a head gives, of this rank's rows.
package struct HeadOutputs<A: Element> {
  /// n × 1 × 1 × E: what metric losses see.
  package let embedding: Tensor<A>
  /// n × 1 × 1 × D: what the classifier reads, and what is retrieved by.
  package let descriptor: Tensor<A>
  /// n × 1 × 1 × classes; nil in evaluation.
  package let logits: Tensor<A>?

  package init(embedding: Tensor<A>, descriptor: Tensor<A>, logits: Tensor<A>?) {
    (self.embedding, self.descriptor, self.logits) = (embedding, descriptor, logits)
  }
}

/// From an embedding (n×1×1×E) to the logits of classes, in training alone.
package protocol Classifier<A>: AnyObject {
  associatedtype A: Element where A.Accumulator == A
  var map: any LinearMap<A> { get }
  func classify(_ embedding: Tensor<A>, _ run: Run<A>) -> any ClassifierPasses<A>
}

package protocol ClassifierPasses<A>: AnyObject {
  associatedtype A: Element where A.Accumulator == A
  /// n × 1 × 1 × classes.
  var logits: Tensor<A> { get }
  func forwardTangent(_ embeddingDot: Tensor<A>, _ run: Run<A>) -> Tensor<A>
  /// From the gradient of the logits to that of the embedding, with `addend`, finished by `target`.
  func backward(
    _ logitsBar: Tensor<A>, adding addend: Tensor<A>?, target: GradientTarget<A>, _ pass: BackwardPass, _ run: Run<A>
  ) -> Gradient<A>
}
