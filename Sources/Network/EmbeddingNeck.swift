import Kernels
import Layers
import Tensors

/// From the feature to the embedding and the logits, in accumulator precision throughout:
///
///     h = W·n(feature) + b,  embedding = max(0, h),  logits = W_c·embedding + b_c
///
/// feature: n×1×1×F, embedding: n×1×1×E, logits: n×1×1×identities. Collectives: those of the batch norm.
package final class EmbeddingNeck<A: Element> where A.Accumulator == A {
  package let norm: BatchNorm<A>
  package let fc: Convolution<A>, classifier: Convolution<A>

  init<E: Element>(_ builder: inout NetworkBuilder<E>) where E.Accumulator == A {
    let architecture = builder.architecture
    norm = BatchNorm(&builder.parameters, &builder.statistics, "neck.bn", channels: architecture.featureChannels)
    fc = Convolution(
      &builder.parameters, "neck.fc", inputs: architecture.featureChannels, outputs: architecture.embedding, bias: true,
      linear: true)
    classifier = Convolution(
      &builder.parameters, "classifier", inputs: architecture.embedding, outputs: architecture.identities, bias: true,
      linear: true)
  }

  package struct Saved {
    fileprivate let feature: Tensor<A>
    fileprivate let state: BatchNorm<A>.State
    package let embedding: Tensor<A>
    /// nil in evaluation
    package let logits: Tensor<A>?
  }

  package func forward(
    _ feature: Tensor<A>, _ parameters: Parameters<A>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<A>
  ) throws -> Saved {
    let state: BatchNorm<A>.State
    if training {
      state = try norm.normalize(RowSums.forward(feature, context), count: feature.shape.images, parameters, context.communicator)
      updates.add(norm, state, parameters)
    } else {
      state = norm.normalize(parameters)
    }
    let hidden = Epilogue(out: context.tensor(fc.outputShape(feature.shape)))
    fc.forward(.normalized(feature, state), parameters, hidden, context)
    let embedding = hidden.out
    if !context.workers.isRehearsal {
      for i in 0..<embedding.shape.count where embedding.pointer[i] < 0 { embedding.pointer[i] = 0 }
    }
    guard training else { return Saved(feature: feature, state: state, embedding: embedding, logits: nil) }
    let logits = Epilogue(out: context.tensor(classifier.outputShape(embedding.shape)))
    classifier.forward(.plain(embedding), parameters, logits, context)
    return Saved(feature: feature, state: state, embedding: embedding, logits: logits.out)
  }

  /// From the gradients of the embedding (as far as it is used directly) and of the logits to that of the feature.
  package func backward(
    _ saved: Saved, embeddingBar: Tensor<A>, logitsBar: Tensor<A>, _ parameters: Parameters<A>,
    into gradients: ParameterGradients,
    _ context: Context<A>
  ) throws -> Tensor<A> {
    classifier.backwardWeights(.plain(saved.embedding), .plain(logitsBar), into: gradients, context)
    var hidden = Epilogue(out: context.tensor(saved.embedding.shape))
    hidden.addend = embeddingBar
    hidden.target = GradientTarget(gate: .positive(saved.embedding), norms: [])
    classifier.backwardData(.plain(logitsBar), hidden, context)
    fc.backwardWeights(.normalized(saved.feature, saved.state), .plain(hidden.out), into: gradients, context)

    var normalized = Epilogue(out: context.tensor(saved.feature.shape))
    normalized.target = GradientTarget(gate: .open, norms: [.init(saved.feature, saved.state)])
    let sums = fc.backwardData(.plain(hidden.out), normalized, context)
    let coefficients = try norm.backward(saved.state, sums, parameters, into: gradients, context.communicator)
    return Operand.gradient(normalized.out, through: saved.feature, coefficients).materialized(context)
  }
}
