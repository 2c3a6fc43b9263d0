import Layers
import Tensors

/// From a pooled feature (n×1×1×F) to what a head gives, in accumulator precision.
package protocol Neck<A>: AnyObject {
  associatedtype A: Element where A.Accumulator == A
  /// Linear maps that every pass needs, and those that only training does: to be packed.
  var maps: [any LinearMap<A>] { get }
  var trainingMaps: [any LinearMap<A>] { get }
  func forward(_ feature: Tensor<A>, _ run: Run<A>) throws -> any NeckPasses<A>
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
  /// n × 1 × 1 × D: what is retrieved by.
  package let descriptor: Tensor<A>
  /// n × 1 × 1 × classes; nil in evaluation.
  package let logits: Tensor<A>?
}
