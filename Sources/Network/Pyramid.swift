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

  package struct Saved {
    /// n × 1 × 1 × feature channels.
    package let feature: Tensor<E.Accumulator>
    /// c_s, p_s and the fusion bottlenecks by stage.
    fileprivate let inputs: [Int: Tensor<E>]
    fileprivate var levels: [Int: Tensor<E>] = [:]
    fileprivate var blocks: [Int: [Bottleneck<E>.Saved]] = [:]
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
      let level = self.level(stage, inputs[stage]!, above, parameters, context)
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

  private func level(
    _ stage: Int, _ c: Tensor<E>, _ above: Tensor<E>?, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>
  ) -> Tensor<E> {
    var coarse: Tensor<E>?
    if let above, let smooth = smooth[stage] {
      let epilogue = Epilogue(out: context.tensor(above.shape))
      smooth.forward(.plain(above), parameters, epilogue, context)
      coarse = epilogue.out
    }
    guard let lateral = lateral[stage] else {
      return Upsample.forward(coarse!, height: c.shape.height, width: c.shape.width, context)
    }
    var epilogue = Epilogue(out: context.tensor(lateral.outputShape(c.shape)))
    epilogue.addend = coarse
    lateral.forward(.plain(c), parameters, epilogue, context)
    return epilogue.out
  }

  /// From the gradient of the feature to those of the stages' outputs: c₄'s is finished by `topTarget`, the others are
  /// contributions.
  package func backward(
    _ saved: inout Saved, _ featureBar: Tensor<E.Accumulator>, topTarget: GradientTarget<E>,
    _ parameters: Parameters<E.Accumulator>, into gradients: ParameterGradients, _ context: Context<E>
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
      var levelBar = try fusionBackward(&saved, stage, featureBar, first, shape, parameters, into: gradients, context)
      if let (smooth, coarseBar) = fromBelow {
        var epilogue = Epilogue(out: context.tensor(shape))
        epilogue.addend = levelBar
        smooth.backwardData(.plain(coarseBar), epilogue, context)
        levelBar = epilogue.out
        fromBelow = nil
      }
      if let smooth = smooth[stage] {
        let above = saved.levels[stages[index + 1]]!
        let coarseBar = Upsample.backward(levelBar, height: above.shape.height, width: above.shape.width, context)
        smooth.backwardWeights(.plain(above), .plain(coarseBar), into: gradients, context)
        fromBelow = (smooth, coarseBar)
      }
      guard let lateral = lateral[stage] else { continue }
      lateral.backwardWeights(.plain(c), .plain(levelBar), into: gradients, context)
      var epilogue = Epilogue(out: context.tensor(c.shape))
      if isTop { epilogue.target = topTarget }
      let sums = lateral.backwardData(.plain(levelBar), epilogue, context)
      if isTop { return (Gradient(tensor: epilogue.out, sums: sums), others) }
      others[stage] = epilogue.out
    }
    preconditionFailure("the fused stages end with 4")
  }

  private func fusionBackward(
    _ saved: inout Saved, _ stage: Int, _ featureBar: Tensor<E.Accumulator>, _ first: Int, _ shape: Shape,
    _ parameters: Parameters<E.Accumulator>, into gradients: ParameterGradients, _ context: Context<E>
  ) throws -> Tensor<E> {
    var blocks = saved.blocks.removeValue(forKey: stage) ?? []
    var gradient = GlobalAverage.backward(featureBar, first: first, shape, blocks.last?.target ?? .plain, context)
    while let block = blocks.popLast() {
      gradient = try fusion[stage]![blocks.count].backward(
        block, gradient, target: blocks.last?.target ?? .plain, parameters, into: gradients, context)
    }
    return gradient.tensor
  }
}
