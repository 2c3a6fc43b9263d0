import Layers
import Tensors

/// MSFL (section III-A of the paper): what becomes of the stages' outputs c_s before the heads.
///
///     p₄ = lateral₄(c₄),  p_s = lateral_s(c_s) + smooth(upsample(p_{s+1})),  f_s = (4 − s) bottlenecks on p_s
///
/// or with gates in front of it (`PyramidInputs`) or between its levels (`GatedLevel`).
package final class Pyramid<E: Element> {
  /// Ascending; the last one is the trunk's last.
  package let stages: [Int]
  /// The parameters' range of the layout.
  package let range: Range<Int>
  /// Channels of every f_s.
  package let channels: Int
  fileprivate let inputs: PyramidInputs<E>?
  /// p_s by stage.
  fileprivate let levels: [Int: any PyramidLevel<E>]
  /// Fusion bottlenecks by stage; none at the top, where f_s is p_s.
  let fusion: [Int: [ResidualBlock<E>]]

  /// `trunk`: channels of the stages.
  init(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) {
    let architecture = builder.architecture
    stages = architecture.fusedStages
    channels = architecture.pyramidChannels
    ((inputs, levels, fusion), range) = builder.recorded { builder in
      (Self.inputs(&builder, trunk), Self.levels(&builder, trunk), Self.fusion(&builder))
    }
  }

  private static func inputs(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) -> PyramidInputs<E>? {
    guard case .pam(let options) = builder.architecture.pyramid else { return nil }
    return PyramidInputs(&builder, builder.architecture.fusedStages, trunk, options)
  }

  private static func levels(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) -> [Int: any PyramidLevel<E>] {
    let lateral = lateral(&builder, trunk), smooth = smooth(&builder)
    var levels: [Int: any PyramidLevel<E>] = [:]
    for stage in builder.architecture.fusedStages {
      if case .darn(let options) = builder.architecture.pyramid, let lateral = lateral[stage],
        let smooth = smooth[stage]
      {
        levels[stage] = GatedLevel(&builder, stage, lateral: lateral, smooth: smooth, options)
      } else {
        levels[stage] = PlainLevel(stage, lateral: lateral[stage], smooth: smooth[stage])
      }
    }
    return levels
  }

  /// From a stage's channels to the pyramid's, by stage.
  private static func lateral(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) -> [Int: Convolution<E>] {
    let architecture = builder.architecture
    var lateral: [Int: Convolution<E>] = [:]
    for stage in architecture.fusedStages where architecture.lateral || stage == 4 {
      lateral[stage] = builder.convolution(
        "pyramid.lateral.\(stage)", trunk[stage - 1], architecture.pyramidChannels, bias: true)
    }
    return lateral
  }

  /// From the level above into stage s, by stage.
  private static func smooth(_ builder: inout NetworkBuilder<E>) -> [Int: Convolution<E>] {
    let architecture = builder.architecture, channels = architecture.pyramidChannels
    guard architecture.topDown else { return [:] }
    var smooth: [Int: Convolution<E>] = [:], shared: Convolution<E>?
    for stage in architecture.fusedStages.dropLast() {
      let name = architecture.sharedPyramid ? "pyramid.smooth" : "pyramid.smooth.\(stage)"
      smooth[stage] = shared ?? builder.convolution(name, channels, channels, bias: true)
      if architecture.sharedPyramid { shared = smooth[stage] }
    }
    return smooth
  }

  private static func fusion(_ builder: inout NetworkBuilder<E>) -> [Int: [ResidualBlock<E>]] {
    let architecture = builder.architecture, channels = architecture.pyramidChannels
    guard architecture.fusion else { return [:] }
    let inner = architecture.channels(128)
    var fusion: [Int: [ResidualBlock<E>]] = [:], shared: [Convolution<E>]?
    for stage in architecture.fusedStages.dropLast() {
      fusion[stage] = (0..<4 - stage).map { use in
        let name = architecture.sharedPyramid ? "fusion" : "fusion.blocks.\(stage).\(use)"
        let convolutions =
          shared ?? [
            builder.convolution(name + ".conv1", channels, inner),
            builder.convolution(name + ".conv2", inner, inner, kernel: 3),
            builder.convolution(name + ".conv3", inner, channels),
          ]
        if architecture.sharedPyramid { shared = convolutions }
        return ResidualBlock(
          zip(convolutions, 1...).map { convolution, index in
            NormalizedConvolution(
              convolution, builder.norm("fusion.norms.\(stage).\(use).bn\(index)", convolution.geometry.outputs),
              isActivated: index < 3)
          })
      }
    }
    return fusion
  }

  /// f_s by stage from c₁, c₂, …, as operators of `graph`.
  package func express(_ outputs: [InferenceGraph.Value], in graph: InferenceGraph) -> [Int: InferenceGraph.Value] {
    let gated = inputs?.express(outputs, in: graph)
    var maps: [Int: InferenceGraph.Value] = [:], above: InferenceGraph.Value?
    for stage in stages.reversed() {
      let c = gated.map { after("the gates", $0[stage]) } ?? outputs[stage - 1]
      let level = after("the pyramid's making", levels[stage]).express(c, above: above, in: graph)
      maps[stage] = (fusion[stage] ?? []).reduce(level) { $1.express($0, in: graph) }
      above = level
    }
    return maps
  }

  /// `outputs`: c₁, c₂, … (n × h_s × w_s × channels of the stage). `show` gets p_s of each stage s, which an evaluation
  /// does not keep.
  package func forward(
    _ outputs: [Feature<E>], _ run: Run<E>, show: (_ stage: Int, _ p: Tensor<E>) -> Void = { _, _ in }
  ) throws -> PyramidPasses<E> {
    let passes = try PyramidPasses(self, outputs, run)
    for stage in stages.reversed() {
      try passes.addLevel(stage, run)
      show(stage, passes.level(stage))
    }
    for stage in stages { try passes.addMap(stage, run) }
    return passes
  }
}

/// What follows the forward pass of the pyramid: every convolution and bottleneck keeps what is its own.
package final class PyramidPasses<E: Element> {
  /// f_s by stage.
  package private(set) var maps: [Int: Feature<E>] = [:]
  private let pyramid: Pyramid<E>
  private let gates: PyramidInputPasses<E>?
  private let inputs: [Int: Feature<E>]
  /// p_s by stage.
  private var tensors: [Int: Tensor<E>] = [:]
  private var levels: [Int: any PyramidLevelPasses<E>] = [:]
  private var blocks: [Int: [any Passes<E>]] = [:]
  /// ṗ_s by stage, for the report.
  private var levelDots: [Int: Tensor<E>] = [:]

  fileprivate init(_ pyramid: Pyramid<E>, _ outputs: [Feature<E>], _ run: Run<E>) throws {
    self.pyramid = pyramid
    gates = try pyramid.inputs?.forward(outputs, run)
    inputs = gates?.maps ?? Dictionary(uniqueKeysWithValues: pyramid.stages.map { ($0, outputs[$0 - 1]) })
  }

  package var storedTangents: [Tensor<E>] {
    Array(levelDots.values) + blocks.values.joined().flatMap { $0.storedTangents }
      + levels.values.flatMap { $0.storedTangents } + (gates?.storedTangents ?? [])
  }

  /// The level above, or nil at the top.
  private func above(_ stage: Int) -> Int? { pyramid.stages.first { $0 > stage } }

  fileprivate func level(_ stage: Int) -> Tensor<E> { after("the forward pass", tensors[stage]) }

  /// p_s.
  fileprivate func addLevel(_ stage: Int, _ run: Run<E>) throws {
    let c = after("the trunk's", inputs[stage])
    let passes = try after("the pyramid's making", pyramid.levels[stage])
      .forward(c, above: above(stage).map { level($0) }, run)
    tensors[stage] = passes.p
    if run.isTraining { levels[stage] = passes }
  }

  /// f_s.
  fileprivate func addMap(_ stage: Int, _ run: Run<E>) throws {
    var map = Feature<E>.plain(level(stage))
    for (use, block) in (pyramid.fusion[stage] ?? []).enumerated() {
      let passes = try run.row("fusion.\(stage).\(use)", { $0.y.shape }) { try block.forward(map, run) }
      if run.isTraining { blocks[stage, default: []].append(passes) }
      // In evaluation without what finishes its gradient.
      map = run.isTraining ? passes.y : Feature(passes.y.value)
    }
    maps[stage] = map
    if !run.isTraining { tensors[stage] = nil }
  }

  /// From the tangents of the stages' outputs (nil: none) to those of the maps, by stage. After a recording backward pass.
  package func forwardTangent(_ outputs: [Operand<E>?], _ run: Run<E>) throws -> [Int: Operand<E>] {
    let gated = try gates?.forwardTangent(outputs, run)
    for stage in pyramid.stages.reversed() {
      let above = above(stage).flatMap { levelDots[$0] }, c = gated.map { $0[stage] } ?? outputs[stage - 1]
      levelDots[stage] = try after("the forward pass", levels[stage]).forwardTangent(c, above: above, run)
    }
    var dots: [Int: Operand<E>] = [:]
    for stage in pyramid.stages {
      guard var map = levelDots[stage].map({ Operand.plain($0) }) else { continue }
      for block in blocks[stage] ?? [] { map = try block.forwardTangent(map, adding: nil, run) }
      dots[stage] = map
    }
    return dots
  }

  /// From the gradients that the readers of the maps give to those of the stages' outputs: the last one's is finished by its
  /// target, unless the pass asks for it; the others are contributions, by stage.
  package func backward(_ readers: MapReaders<E>, _ pass: BackwardPass, _ run: Run<E>) throws
    -> (top: Gradient<E>, others: [Int: Tensor<E>])
  {
    var top: Gradient<E>?, others: [Int: Tensor<E>] = [:], gated: [Int: Tensor<E>] = [:]
    // A stage that is not fused has no readers but heads.
    for stage in 1..<(pyramid.stages.last ?? 1) where pass.reaches(stage) && !pyramid.stages.contains(stage) {
      others[stage] = try readers(.stage(stage), nil, .plain)?.tensor
    }
    var below: (any PyramidLevelPasses<E>)?
    for stage in pyramid.stages {
      // p̄_s: through its own bottlenecks, then what the level below took of it
      var levelBar = try mapBackward(stage, readers, pass, run)
      if let below { levelBar = try below.aboveGradient(adding: levelBar, pass, run) }
      let passes = after("the forward pass", levels[stage])
      try passes.backward(levelBar, pass, run)
      below = passes
      if gates != nil {
        // What else reads the stage's output comes behind the gates.
        gated[stage] = passes.inputGradient(adding: nil, target: .plain, run)?.tensor
      } else if above(stage) == nil {
        let contribution = try readers(.stage(stage), nil, .plain)?.tensor
        let target = pass.asks(for: stage) ? .plain : after("the trunk's", inputs[stage]).target
        top = passes.inputGradient(adding: contribution, target: target, run)
      } else if pass.reaches(stage) {
        let contribution = try readers(.stage(stage), nil, .plain)?.tensor
        others[stage] = passes.inputGradient(adding: contribution, target: .plain, run)?.tensor ?? contribution
      }
    }
    if let gates {
      let behind = try gates.backward(gated, readers, pass, run)
      return (behind.top, others.merging(behind.others) { $1 })
    }
    return (after("the trunk's last stage", top), others)
  }

  /// From the gradient of f_s, through its bottlenecks, to that of p_s.
  private func mapBackward(_ stage: Int, _ readers: MapReaders<E>, _ pass: BackwardPass, _ run: Run<E>) throws
    -> Tensor<E>
  {
    var kept = blocks.removeValue(forKey: stage) ?? []
    guard var gradient = try readers(.level(stage), nil, kept.last?.y.target ?? .plain) else {
      preconditionFailure("nobody reads level \(stage)")
    }
    for index in kept.indices.reversed() {
      gradient = try kept[index].backward(
        gradient, adding: nil, target: index > 0 ? kept[index - 1].y.target : .plain, pass, run)
      if pass.gradients != nil { kept.removeLast() }
    }
    blocks[stage] = kept
    return gradient.tensor
  }
}
