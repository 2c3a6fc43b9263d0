import Layers
import Tensors

/// MSFL (section III-A of the paper): what becomes of the stages' outputs c_s before the heads.
///
///     p₄ = lateral₄(c₄),  p_s = lateral_s(c_s) + smooth(upsample(p_{s+1})),  f_s = (4 − s) bottlenecks on p_s
///
/// A 1×1 convolution and nearest upsampling commute, so `smooth` runs before the upsampling, on a quarter of the pixels.
package final class Pyramid<E: Element> {
  /// Ascending; the last one is the trunk's last.
  package let stages: [Int]
  /// The parameters' range of the layout.
  package let range: Range<Int>
  /// Channels of every f_s.
  package let channels: Int
  /// From a stage's channels to the pyramid's, by stage.
  fileprivate let lateral: [Int: Convolution<E>]
  /// From the level above into stage s, by stage.
  fileprivate let smooth: [Int: Convolution<E>]
  /// Fusion bottlenecks by stage.
  fileprivate let fusion: [Int: [ResidualBlock<E>]]

  /// `trunk`: channels of the stages.
  init(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) {
    let architecture = builder.architecture
    stages = architecture.fusedStages
    channels = architecture.pyramidChannels
    ((lateral, smooth, fusion), range) = builder.recorded { builder in
      (Self.lateral(&builder, trunk), Self.smooth(&builder), Self.fusion(&builder))
    }
  }

  private static func lateral(_ builder: inout NetworkBuilder<E>, _ trunk: [Int]) -> [Int: Convolution<E>] {
    let architecture = builder.architecture
    var lateral: [Int: Convolution<E>] = [:]
    for stage in architecture.fusedStages where architecture.lateral || stage == 4 {
      lateral[stage] = builder.convolution(
        "pyramid.lateral.\(stage)", trunk[stage - 1], architecture.pyramidChannels, bias: true)
    }
    return lateral
  }

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

  /// `outputs`: c₁, c₂, … (n × h_s × w_s × channels of the stage).
  package func forward(_ outputs: [Feature<E>], _ run: Run<E>) throws -> PyramidPasses<E> {
    let passes = PyramidPasses(self, outputs)
    for stage in stages.reversed() { passes.addLevel(stage, run) }
    for stage in stages { try passes.addMap(stage, run) }
    return passes
  }
}

/// What follows the forward pass of the pyramid: every convolution and bottleneck keeps what is its own.
package final class PyramidPasses<E: Element> {
  /// f_s by stage.
  package private(set) var maps: [Int: Feature<E>] = [:]
  private let pyramid: Pyramid<E>
  private let inputs: [Int: Feature<E>]
  /// p_s by stage.
  private var levels: [Int: Tensor<E>] = [:]
  private var lateral: [Int: LinearPasses<E>] = [:], smooth: [Int: LinearPasses<E>] = [:]
  private var blocks: [Int: [any Passes<E>]] = [:]
  /// ṗ_s by stage, for the report.
  private var levelDots: [Int: Tensor<E>] = [:]

  fileprivate init(_ pyramid: Pyramid<E>, _ outputs: [Feature<E>]) {
    self.pyramid = pyramid
    inputs = Dictionary(uniqueKeysWithValues: pyramid.stages.map { ($0, outputs[$0 - 1]) })
  }

  package var storedTangents: [Tensor<E>] {
    Array(levelDots.values) + blocks.values.joined().flatMap { $0.storedTangents }
  }

  /// The level above, or nil at the top.
  private func above(_ stage: Int) -> Int? { pyramid.stages.first { $0 > stage } }

  private func input(_ stage: Int) -> Feature<E> { after("the trunk's", inputs[stage]) }
  private func level(_ stage: Int) -> Tensor<E> { after("the forward pass", levels[stage]) }

  /// p_s.
  fileprivate func addLevel(_ stage: Int, _ run: Run<E>) {
    let c = input(stage)
    var coarse: Tensor<E>?
    if let smooth = pyramid.smooth[stage], let above = above(stage) {
      // Published networks upsample before.
      let passes = run.row(
        "pyramid.smooth → \(stage)", { $0.y.shape }, countedAt: c.shape.with(channels: pyramid.channels)
      ) {
        LinearPasses(smooth, .plain(level(above)), run)
      }
      if run.isTraining { self.smooth[stage] = passes }
      coarse = passes.y.value.tensor
    }
    if let lateral = pyramid.lateral[stage] {
      let passes = run.row("pyramid.lateral.\(stage)", { $0.y.shape }) { LinearPasses(lateral, c, adding: coarse, run) }
      if run.isTraining { self.lateral[stage] = passes }
      levels[stage] = passes.y.value.tensor
    } else if let coarse {
      levels[stage] = Upsample.forward(coarse, height: c.shape.height, width: c.shape.width, run.context)
    }
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
    if !run.isTraining { levels[stage] = nil }
  }

  /// From the tangents of the stages' outputs (nil: none) to those of the maps, by stage. After a recording backward pass.
  package func forwardTangent(_ outputs: [Operand<E>?], _ run: Run<E>) throws -> [Int: Operand<E>] {
    for stage in pyramid.stages.reversed() {
      let above = above(stage).flatMap { levelDots[$0] }
      levelDots[stage] = levelTangent(stage, outputs[stage - 1], above, run)
    }
    var dots: [Int: Operand<E>] = [:]
    for stage in pyramid.stages {
      guard var map = levelDots[stage].map({ Operand.plain($0) }) else { continue }
      for block in blocks[stage] ?? [] { map = try block.forwardTangent(map, adding: nil, run) }
      dots[stage] = map
    }
    return dots
  }

  /// ṗ_s from ċ_s and ṗ_{s+1}, which may both be missing.
  private func levelTangent(_ stage: Int, _ c: Operand<E>?, _ above: Tensor<E>?, _ run: Run<E>) -> Tensor<E>? {
    var coarse: Tensor<E>?
    if let above, let smooth = smooth[stage] { coarse = smooth.forwardTangent(.plain(above), run).tensor }
    if let c, let lateral = lateral[stage] { return lateral.forwardTangent(c, adding: coarse, run).tensor }
    let size = input(stage).shape
    return coarse.map { Upsample.forward($0, height: size.height, width: size.width, run.context) }
  }

  /// From the gradients that the readers of the maps give to those of the stages' outputs: the last one's is finished by its
  /// target, unless the pass asks for it; the others are contributions, by stage.
  package func backward(_ readers: MapReaders<E>, _ pass: BackwardPass, _ run: Run<E>) throws
    -> (top: Gradient<E>, others: [Int: Tensor<E>])
  {
    var others: [Int: Tensor<E>] = [:]
    // A stage that is not fused has no readers but heads.
    for stage in 1..<(pyramid.stages.last ?? 1) where pass.reaches(stage) && !pyramid.stages.contains(stage) {
      others[stage] = try readers(.stage(stage), nil, .plain)?.tensor
    }
    var fromBelow: (smooth: LinearPasses<E>, coarseBar: Tensor<E>)?
    for stage in pyramid.stages {
      let above = above(stage), c = input(stage)
      // p̄_s: through its own bottlenecks, then what the level below copied from it
      var levelBar = try mapBackward(stage, readers, pass, run)
      if let (smooth, coarseBar) = fromBelow {
        levelBar = smooth.backwardData(coarseBar, adding: levelBar, target: .plain, run).tensor
        fromBelow = nil
      }
      if let above, let smooth = smooth[stage] {
        let size = level(above).shape
        let coarseBar = Upsample.backward(levelBar, height: size.height, width: size.width, run.context)
        smooth.backwardWeights(coarseBar, pass, run)
        fromBelow = (smooth, coarseBar)
      }
      if let lateral = lateral[stage] {
        lateral.backwardWeights(levelBar, pass, run)
        guard above != nil else {
          let contribution = try readers(.stage(stage), nil, .plain)?.tensor
          let top = lateral.backwardData(
            levelBar, adding: contribution, target: pass.asks(for: stage) ? .plain : c.target, run)
          return (top, others)
        }
        if pass.reaches(stage) {
          let contribution = try readers(.stage(stage), nil, .plain)?.tensor
          others[stage] = lateral.backwardData(levelBar, adding: contribution, target: .plain, run).tensor
        }
      } else if pass.reaches(stage) {
        others[stage] = try readers(.stage(stage), nil, .plain)?.tensor
      }
    }
    preconditionFailure("the fused stages end with the trunk's last")
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
