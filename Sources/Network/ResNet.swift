import Layers
import Tensors

/// ResNet-50's stem and four stages (strides 4, 8, 16, 32; 256, 512, 1024, 2048 channels at full width).
package final class ResNet<E: Element> {
  package let stem: NormalizedConvolution<E>
  /// 3, 4, 6 and 3 bottlenecks.
  package let stages: [[Bottleneck<E>]]
  /// Where the backbone's parameters end in the layout.
  let end: Int

  init(_ builder: inout NetworkBuilder<E>) {
    let architecture = builder.architecture
    let stemChannels = architecture.channels(64)
    stem = NormalizedConvolution(
      convolution: builder.convolution("conv1", 3, stemChannels, kernel: 7, stride: 2),
      norm: builder.norm("bn1", stemChannels))
    var stages: [[Bottleneck<E>]] = []
    var inputs = stemChannels
    for (index, depth) in [3, 4, 6, 3].enumerated() {
      let inner = architecture.channels(64 << index)
      let stride = index == 0 ? 1 : index == 3 ? architecture.lastStride : 2
      var blocks: [Bottleneck<E>] = []
      for block in 0..<depth {
        blocks.append(
          builder.bottleneck(
            "layer\(index + 1).\(block)", inputs: inputs, inner: inner, stride: block == 0 ? stride : 1,
            downsample: block == 0))
        inputs = 4 * inner
      }
      stages.append(blocks)
    }
    self.stages = stages
    end = builder.parameters.count
  }

  /// What a forward pass leaves to the later ones.
  package struct Saved {
    /// c₁ … c₄.
    package let outputs: [Tensor<E>]
    fileprivate let input: Tensor<E>
    fileprivate var stem: NormalizedConvolution<E>.Saved?
    fileprivate var pool: MaxPool<E>.Saved?
    fileprivate var blocks: [[Bottleneck<E>.Saved]]

    /// The target for the gradient of c₄.
    package var topTarget: GradientTarget<E> { target(of: 4) }

    /// The stored tangents of all units that were perturbed.
    var tangents: [Tensor<E>] { [stem?.zDot].compactMap { $0 } + blocks.joined().flatMap { $0.tangents } }

    /// The target for the gradient of a place: the output of a stage 1…4, or 0, the input of the first.
    fileprivate func target(of place: Int) -> GradientTarget<E> {
      place > 0 ? blocks[place - 1].last?.target ?? .plain : .plain
    }
  }

  /// `perturbations` are added to the outputs of their stages; then only the outputs of the pass mean anything.
  package func forward(
    _ x: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, training: Bool,
    adding perturbations: [Int: Tensor<E>] = [:], _ context: Context<E>
  ) throws -> Saved {
    let x = perturbations[0].map { Addition.forward(x, $0, context) } ?? x
    let stemSaved = try stem.forward(.plain(x), parameters, &updates, training: training, context)
    let pool = MaxPool.forward(stemSaved.activation, context)
    var current = pool.y, outputs: [Tensor<E>] = [], saved: [[Bottleneck<E>.Saved]] = []
    for blocks in stages {
      saved.append([])
      for block in blocks {
        let one = try block.forward(current, parameters, &updates, training: training, context)
        if training { saved[saved.count - 1].append(one) }
        current = one.y
      }
      if let perturbation = perturbations[outputs.count + 1] {
        current = Addition.forward(current, perturbation, context)
      }
      outputs.append(current)
    }
    return Saved(
      outputs: outputs, input: x, stem: training ? stemSaved : nil, pool: training ? pool : nil, blocks: saved)
  }

  /// From v at the places (0: the input; 1…4: c₁ … c₄), times τ, to the tangents of c₁ … c₄; nil where nothing was
  /// perturbed below. After a recording backward pass.
  package func forwardTangent(
    _ saved: inout Saved, at v: [Int: Tensor<E>], _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) throws -> [Tensor<E>?] {
    var current: Tensor<E>?
    if let input = v[0] {
      try stem.forwardTangent(&saved.stem!, .plain(input), parameters, context)
      current = MaxPool.forwardTangent(saved.pool!, saved.stem!.activationTangent, context)
    }
    return try stages.indices.map { stage in
      guard var tangent = current else {
        current = v[stage + 1]
        return current
      }
      for (index, block) in stages[stage].enumerated() {
        let isLast = index == stages[stage].count - 1
        tangent = try block.forwardTangent(
          &saved.blocks[stage][index], tangent, adding: isLast ? v[stage + 1] : nil, parameters, context)
      }
      current = tangent
      return tangent
    }
  }

  /// `top`: the gradient of c₄, finished by `saved.topTarget` unless the pass asks for it; `others`: contributions to the
  /// gradients of c₁ … c₃ from elsewhere. Takes `saved` apart, so that its memory serves again, unless the pass only
  /// records: then returns the gradients it asks for.
  @discardableResult
  package func backward(
    _ saved: inout Saved, top: Gradient<E>, others: inout [Int: Tensor<E>], _ parameters: Parameters<E.Accumulator>,
    _ pass: BackwardPass, _ context: Context<E>
  ) throws -> [Int: Tensor<E>] {
    var gradient = top, asked: [Int: Tensor<E>] = [:]
    for stage in (0..<4).reversed() {
      // The gradient of c_{stage+1} has arrived.
      if pass.asks(for: stage + 1) {
        asked[stage + 1] = gradient.tensor
        if pass.reaches(stage) { gradient = saved.target(of: stage + 1).finish(gradient.tensor, context) }
      }
      guard pass.reaches(stage) else { return asked }
      for index in stages[stage].indices.reversed() {
        // Before the first block of a stage stands the output of the stage before, which the pyramid reads too.
        let isFirst = index == 0
        let target =
          !isFirst ? saved.blocks[stage][index - 1].target : pass.asks(for: stage) ? .plain : saved.target(of: stage)
        gradient = try stages[stage][index].backward(
          &saved.blocks[stage][index], gradient, addend: isFirst ? others.removeValue(forKey: stage) : nil,
          target: target, parameters, pass, context)
        guard let gradients = pass.gradients else { continue }
        gradients.complete(from: stages[stage][index].first.convolution.weight.range.lowerBound)
        saved.blocks[stage].removeLast()
      }
    }
    asked[0] = try stemBackward(&saved, gradient.tensor, parameters, pass, context)
    return asked
  }

  /// From the gradient of the pooled stem. Returns that of the input, if the pass asks for it.
  private func stemBackward(
    _ saved: inout Saved, _ pooledBar: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ pass: BackwardPass,
    _ context: Context<E>
  ) throws -> Tensor<E>? {
    let activation = MaxPool.backward(saved.pool!, pooledBar, saved.stem!.z.shape, saved.stem!.target, context)
    let zBar = try stem.backward(
      &saved.stem!, activation.tensor, sums: activation.sums, parameters, pass, context)
    guard pass.asks(for: 0) else {
      (saved.stem, saved.pool) = (nil, nil)
      return nil
    }
    let epilogue = Epilogue(out: context.tensor(saved.input.shape))
    stem.convolution.backwardData(zBar, epilogue, context)
    return epilogue.out
  }
}
