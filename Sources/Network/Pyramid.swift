import Layers
import Tensors

/// MSFL (section III-A of the paper): what becomes of the stages' outputs c_s before the neck.
///
///     p₄ = lateral₄(c₄),  p_s = lateral_s(c_s) + smooth(upsample(p_{s+1})),  f_s = (4 − s) bottlenecks on p_s
///     feature = concatenated global averages of the f_s
///
/// A 1×1 convolution and nearest upsampling commute, so `smooth` runs before the upsampling, on a quarter of the
/// pixels. Without lateral and top-down paths (the ablation "direct fusion", and the baseline) f_s = c_s.
package final class Pyramid<E: Element> {
  package let stages: [Int]
  package let isDirect: Bool
  /// From a stage's channels to the pyramid's, by stage.
  package private(set) var lateral: [Int: Convolution<E>] = [:]
  /// From the level above into stage s, by stage.
  package private(set) var smooth: [Int: Convolution<E>] = [:]
  /// Fusion bottlenecks by stage.
  package private(set) var fusion: [Int: [Bottleneck<E>]] = [:]
  private let featureChannels: Int

  init(_ builder: inout NetworkBuilder<E>) {
    let architecture = builder.architecture
    stages = architecture.fusedStages
    isDirect = architecture.isDirect
    featureChannels = architecture.featureChannels
    guard !isDirect else { return }

    let channels = architecture.pyramidChannels, inner = architecture.channels(128), shared = architecture.sharedPyramid
    for stage in stages where architecture.lateral || stage == 4 {
      lateral[stage] = builder.convolution(
        "pyramid.lateral.\(stage)", architecture.stageChannels(stage), channels, bias: true)
    }
    if architecture.topDown {
      var one: Convolution<E>?
      for stage in stages.dropLast() {
        let layer =
          one
          ?? builder.convolution(shared ? "pyramid.smooth" : "pyramid.smooth.\(stage)", channels, channels, bias: true)
        if shared { one = layer }
        smooth[stage] = layer
      }
    }
    guard architecture.fusion else { return }
    var one: [Convolution<E>]?
    for stage in stages.dropLast() {
      fusion[stage] = (0..<4 - stage).map { use in
        let name = shared ? "fusion" : "fusion.blocks.\(stage).\(use)"
        let convolutions =
          one ?? [
            builder.convolution(name + ".conv1", channels, inner),
            builder.convolution(name + ".conv2", inner, inner, kernel: 3),
            builder.convolution(name + ".conv3", inner, channels),
          ]
        if shared { one = convolutions }
        let units = zip(convolutions, 1...).map { convolution, index in
          NormalizedConvolution(
            convolution: convolution,
            norm: builder.norm("fusion.norms.\(stage).\(use).bn\(index)", convolution.outputChannels))
        }
        return Bottleneck(first: units[0], second: units[1], third: units[2])
      }
    }
  }

  /// What a forward pass leaves to the later ones; a recording backward pass adds p̄_s and the gradients of what `smooth`
  /// wrote, a tangent pass ċ_s and ṗ_s.
  package struct Saved {
    /// n × 1 × 1 × feature channels.
    package let feature: Tensor<E.Accumulator>
    /// c_s, p_s and the fusion bottlenecks by stage.
    fileprivate let inputs: [Int: Tensor<E>]
    fileprivate var levels: [Int: Tensor<E>] = [:]
    fileprivate var blocks: [Int: [Bottleneck<E>.Saved]] = [:]
    fileprivate var levelBars: [Int: Tensor<E>] = [:], coarseBars: [Int: Tensor<E>] = [:]
    fileprivate var inputDots: [Int: Tensor<E>] = [:], levelDots: [Int: Tensor<E>] = [:]

    /// The stored tangents of all that was perturbed.
    var tangents: [Tensor<E>] { Array(levelDots.values) + blocks.values.joined().flatMap { $0.tangents } }
  }

  /// `outputs`: c₁ … c₄ (n × h_s × w_s × channels of the stage).
  package func forward(
    _ outputs: [Tensor<E>], _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<E>
  ) throws -> Saved {
    let inputs = Dictionary(uniqueKeysWithValues: stages.map { ($0, outputs[$0 - 1]) })
    var saved = Saved(
      feature: Tensor(Shape(outputs[0].shape.images, 1, 1, featureChannels), in: context.arena), inputs: inputs)
    var above: Tensor<E>?
    for stage in stages.reversed() where !isDirect {
      let level = self.level(stage, inputs[stage]!, above, inputs[stage]!.shape, parameters, context)!
      saved.levels[stage] = level
      above = level
    }
    var first = 0
    for stage in stages {
      var map = saved.levels[stage] ?? inputs[stage]!
      for block in fusion[stage] ?? [] {
        let one = try block.forward(map, parameters, &updates, training: training, context)
        if training { saved.blocks[stage, default: []].append(one) }
        map = one.y
      }
      GlobalAverage.forward(map, into: saved.feature, first: first, context)
      first += map.shape.channels
    }
    return saved
  }

  /// p_s from c_s and p_{s+1}; without parameters ṗ_s from ċ_s and ṗ_{s+1}, which may both be missing.
  private func level(
    _ stage: Int, _ c: Tensor<E>?, _ above: Tensor<E>?, _ size: Shape, _ parameters: Parameters<E.Accumulator>?,
    _ context: Context<E>
  ) -> Tensor<E>? {
    func run(_ convolution: Convolution<E>, _ x: Tensor<E>, adding addend: Tensor<E>? = nil) -> Tensor<E> {
      var epilogue = Epilogue(out: context.tensor(convolution.outputShape(x.shape)))
      epilogue.addend = addend
      if let parameters {
        convolution.forward(.plain(x), parameters, epilogue, context)
      } else {
        convolution.forwardTangent(.plain(x), epilogue, context)
      }
      return epilogue.out
    }
    var coarse: Tensor<E>?
    if let above, let smooth = smooth[stage] { coarse = run(smooth, above) }
    if let c, let lateral = lateral[stage] { return run(lateral, c, adding: coarse) }
    guard let coarse else { return nil }
    return Upsample.forward(coarse, height: size.height, width: size.width, context)
  }

  /// From the tangents of the stages' outputs (nil: none) to that of the feature. After a recording backward pass.
  package func forwardTangent(
    _ saved: inout Saved, _ outputs: [Tensor<E>?], _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) throws -> Tensor<E.Accumulator> {
    let feature = Tensor<E.Accumulator>(saved.feature.shape, in: context.arena)
    feature.zero()
    var above: Tensor<E>?
    for stage in stages.reversed() {
      saved.inputDots[stage] = outputs[stage - 1]
      guard !isDirect else { continue }
      above = level(stage, outputs[stage - 1], above, saved.inputs[stage]!.shape, nil, context)
      saved.levelDots[stage] = above
    }
    var first = 0
    for stage in stages {
      let shape = (saved.levels[stage] ?? saved.inputs[stage]!).shape
      defer { first += shape.channels }
      guard var map = isDirect ? saved.inputDots[stage] : saved.levelDots[stage] else { continue }
      for (index, block) in (fusion[stage] ?? []).enumerated() {
        map = try block.forwardTangent(&saved.blocks[stage]![index], map, parameters, context)
      }
      GlobalAverage.forward(map, into: feature, first: first, context)
    }
    return feature
  }

  /// From the gradient of the feature to those of the stages' outputs: c₄'s is finished by `topTarget`, the others are
  /// contributions.
  package func backward(
    _ saved: inout Saved, _ featureBar: Tensor<E.Accumulator>, topTarget: GradientTarget<E>,
    _ parameters: Parameters<E.Accumulator>, _ pass: BackwardPass, _ context: Context<E>
  ) throws -> (top: Gradient<E>, others: [Int: Tensor<E>]) {
    var others: [Int: Tensor<E>] = [:], first = 0
    var fromBelow: (smooth: Convolution<E>, coarseBar: Tensor<E>)?
    for (index, stage) in stages.enumerated() {
      let isTop = index == stages.count - 1
      let c = saved.inputs[stage]!
      let shape = (saved.levels[stage] ?? c).shape
      defer { first += shape.channels }
      if isDirect {
        let cBar = GlobalAverage.backward(featureBar, first: first, shape, isTop ? topTarget : .plain, context)
        if isTop { return (cBar, others) }
        others[stage] = cBar.tensor
        continue
      }
      // p̄_s: through its own bottlenecks, then what the level below copied from it
      var levelBar = try fusionBackward(&saved, stage, featureBar, first, shape, parameters, pass, context)
      if let (smooth, coarseBar) = fromBelow {
        var epilogue = Epilogue(out: context.tensor(shape))
        epilogue.addend = levelBar
        smooth.backwardData(.plain(coarseBar), epilogue, context)
        levelBar = epilogue.out
        fromBelow = nil
      }
      if let smooth = smooth[stage] {
        let next = stages[index + 1], above = saved.levels[next]!
        let coarseBar = Upsample.backward(levelBar, height: above.shape.height, width: above.shape.width, context)
        weightGradient(
          smooth, above, coarseBar, xDot: saved.levelDots[next], recorded: &saved.coarseBars[stage], pass, context)
        fromBelow = (smooth, coarseBar)
      }
      guard let lateral = lateral[stage] else { continue }
      weightGradient(
        lateral, c, levelBar, xDot: saved.inputDots[stage], recorded: &saved.levelBars[stage], pass, context)
      guard isTop || pass.reaches(stage) else { continue }
      var epilogue = Epilogue(out: context.tensor(c.shape))
      if isTop { epilogue.target = topTarget }
      let sums = lateral.backwardData(.plain(levelBar), epilogue, context)
      if isTop { return (Gradient(tensor: epilogue.out, sums: sums), others) }
      others[stage] = epilogue.out
    }
    preconditionFailure("the fused stages end with 4")
  }

  /// W̄ and b̄ of a convolution without a norm, from the gradient of its output; a pass that only records keeps that.
  private func weightGradient(
    _ convolution: Convolution<E>, _ x: Tensor<E>, _ yBar: Tensor<E>, xDot: Tensor<E>?, recorded: inout Tensor<E>?,
    _ pass: BackwardPass, _ context: Context<E>
  ) {
    guard let gradients = pass.gradients else {
      recorded = yBar
      return
    }
    let term = xDot.map { (x: Operand.plain($0), yBar: Operand.scaled(recorded!, by: pass.tangentWeight)) }
    convolution.backwardWeights(.plain(x), .plain(yBar), tangent: term, into: gradients, context)
  }

  /// From the gradient of a level's average, through its bottlenecks, to that of the level.
  private func fusionBackward(
    _ saved: inout Saved, _ stage: Int, _ featureBar: Tensor<E.Accumulator>, _ first: Int, _ shape: Shape,
    _ parameters: Parameters<E.Accumulator>, _ pass: BackwardPass, _ context: Context<E>
  ) throws -> Tensor<E> {
    var blocks = saved.blocks.removeValue(forKey: stage) ?? []
    var gradient = GlobalAverage.backward(featureBar, first: first, shape, blocks.last?.target ?? .plain, context)
    for index in blocks.indices.reversed() {
      gradient = try fusion[stage]![index].backward(
        &blocks[index], gradient, target: index > 0 ? blocks[index - 1].target : .plain, parameters, pass, context)
      if pass.gradients != nil { blocks.removeLast() }
    }
    saved.blocks[stage] = blocks
    return gradient.tensor
  }
}
