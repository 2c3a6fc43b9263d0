import Layers
import Network
import Tensors

/// No neck at all: the feature itself is the embedding, and what the classifier reads and is retrieved by.
///
/// feature: n×1×1×F. Collectives: none.
package final class PlainNeck<A: Element>: Neck where A.Accumulator == A {
  private let features: Int

  package init(features: Int) { self.features = features }

  package var maps: [any LinearMap<A>] { [] }
  package var classifiedLength: Int { features }
  package var embeddingLength: Int { features }
  package var descriptorLength: Int { features }

  package func express(_ feature: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value { feature }

  package func forward(_ feature: Tensor<A>, _ classifier: any Classifier<A>, _ run: Run<A>) -> any NeckPasses<A> {
    PlainNeckPasses(feature, run.isTraining ? classifier.classify(feature, run) : nil)
  }
}

private final class PlainNeckPasses<A: Element>: NeckPasses where A.Accumulator == A {
  let outputs: HeadOutputs<A>
  private let classifier: (any ClassifierPasses<A>)?

  init(_ feature: Tensor<A>, _ classifier: (any ClassifierPasses<A>)?) {
    self.classifier = classifier
    outputs = HeadOutputs(embedding: feature, descriptor: feature, logits: classifier?.logits)
  }

  private var logits: any ClassifierPasses<A> { after("a training forward pass", classifier) }

  func forwardTangent(_ featureDot: Tensor<A>, _ run: Run<A>) -> HeadValues<A> {
    HeadValues(embedding: featureDot, logits: logits.forwardTangent(featureDot, run))
  }

  func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<A>) -> Tensor<A> {
    logits.backward(bars.logits, adding: bars.embedding, target: .plain, pass, run).tensor
  }
}
