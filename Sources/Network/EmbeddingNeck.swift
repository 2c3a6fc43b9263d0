import Kernels
import Layers
import Tensors

/// From the feature to the embedding and the logits, in accumulator precision throughout:
///
///     h = W·n(feature) + b,  embedding = max(0, h),  logits = W_c·embedding + b_c
///
/// All other maps are linear, so the tangents follow these lines without the biases, and the second backward pass those of
/// the first; weight gradients get their second terms.
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
    /// After a recording backward pass: the gradients of the logits, of h and of n(feature).
    fileprivate var gradients:
      (logits: Tensor<A>, hidden: Tensor<A>, normalized: Tensor<A>, norm: BatchNorm<A>.Backward)?
    /// After a tangent pass.
    fileprivate var tangents: (feature: Tensor<A>, embedding: Tensor<A>, norm: BatchNorm<A>.Tangent)?

    fileprivate var normalized: GradientTarget<A>.Normalized { .init(feature, state) }
    /// Where h is positive.
    fileprivate var gate: GradientTarget<A> { GradientTarget(gate: .positive(embedding), norms: []) }
  }

  package func forward(
    _ feature: Tensor<A>, _ parameters: Parameters<A>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<A>
  ) throws -> Saved {
    let state: BatchNorm<A>.State
    if training {
      state = try norm.normalize(
        RowSums.forward(feature, context), count: feature.shape.images, parameters, context.communicator)
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

  /// From the tangent of the feature to those of the embedding and the logits. After a recording backward pass.
  package func forwardTangent(
    _ saved: inout Saved, _ featureDot: Tensor<A>, _ parameters: Parameters<A>, _ context: Context<A>
  ) throws -> (embedding: Tensor<A>, logits: Tensor<A>) {
    let sums = RowSums.tangent(featureDot, of: saved.normalized, saved.gradients!.normalized, context)
    let tangent = try norm.forwardTangent(saved.state, sums, parameters, context.communicator)
    var hidden = Epilogue(out: context.tensor(saved.embedding.shape))
    hidden.target = saved.gate
    fc.forwardTangent(.gradient(featureDot, through: saved.feature, tangent.coefficients), hidden, context)
    let logits = Epilogue(out: context.tensor(saved.logits!.shape))
    classifier.forwardTangent(.plain(hidden.out), logits, context)
    saved.tangents = (featureDot, hidden.out, tangent)
    return (hidden.out, logits.out)
  }

  /// From the gradients of the embedding (as far as it is used directly) and of the logits to that of the feature.
  package func backward(
    _ saved: inout Saved, embeddingBar: Tensor<A>, logitsBar: Tensor<A>, _ parameters: Parameters<A>,
    _ pass: BackwardPass, _ context: Context<A>
  ) throws -> Tensor<A> {
    var hidden = Epilogue(out: context.tensor(saved.embedding.shape))
    hidden.addend = embeddingBar
    hidden.target = saved.gate
    classifier.backwardData(.plain(logitsBar), hidden, context)
    let hiddenBar = hidden.out
    var normalized = Epilogue(out: context.tensor(saved.feature.shape))
    normalized.target = GradientTarget(gate: .open, norms: [saved.normalized])
    let sums = fc.backwardData(.plain(hiddenBar), normalized, context)
    let normalizedBar = normalized.out

    if let gradients = pass.gradients {
      weightGradients(saved, logitsBar, hiddenBar, tangentWeight: pass.tangentWeight, into: gradients, context)
    }
    if case .regularized(let gradients, let weight) = pass {
      let (_, _, yBar, backward) = saved.gradients!, tangents = saved.tangents!
      let coefficients = try norm.backwardTangent(
        saved.state, backward, tangents.norm, weight: weight, sums, parameters, into: gradients, context.communicator)
      return Operand.regularizedGradient(
        normalizedBar, through: saved.feature, yBar, tangents.feature, coefficients
      ).materialized(context)
    }
    let backward = try norm.backward(saved.state, sums, parameters, into: pass.gradients, context.communicator)
    if pass.gradients == nil { saved.gradients = (logitsBar, hiddenBar, normalizedBar, backward) }
    return Operand.gradient(normalizedBar, through: saved.feature, backward.coefficients).materialized(context)
  }

  /// W̄ and b̄ of both linear layers.
  private func weightGradients(
    _ saved: Saved, _ logitsBar: Tensor<A>, _ hiddenBar: Tensor<A>, tangentWeight: Double,
    into gradients: ParameterGradients, _ context: Context<A>
  ) {
    var onLogits: (x: Operand<A>, yBar: Operand<A>)?, onHidden: (x: Operand<A>, yBar: Operand<A>)?
    if let tangents = saved.tangents, let first = saved.gradients {
      onLogits = (.plain(tangents.embedding), .scaled(first.logits, by: tangentWeight))
      onHidden = (
        .gradient(tangents.feature, through: saved.feature, tangents.norm.coefficients),
        .scaled(first.hidden, by: tangentWeight)
      )
    }
    classifier.backwardWeights(.plain(saved.embedding), .plain(logitsBar), tangent: onLogits, into: gradients, context)
    fc.backwardWeights(
      .normalized(saved.feature, saved.state), .plain(hiddenBar), tangent: onHidden, into: gradients, context)
  }
}
