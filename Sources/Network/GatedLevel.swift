import Layers
import Tensors

/// A level whose two parts gate one another (DARN, ICPR 2020; reconstructed from the abstract):
///
///     p_s = lateral(c_s)∘σ(a) + up(smooth(p_{s+1}))∘σ(b)
///     a = W_a∗u + b_a,  u = max(0, n(W_u∗mean(p_{s+1}))), a gate a channel;  b = W_b∗c_s + b_b, a gate a pixel
///
/// Where a and b are large, it is the plain level. Stored: both products and what the layers store.
///
/// c_s: n×h×w×C_s, as it is read; p_{s+1}: n×h'×w'×C, p_s: n×h×w×C. Precision: the layers'. Collectives: those of the norm n.
final class GatedLevel<E: Element>: PyramidLevel {
  fileprivate let stage: Int
  fileprivate let lateral: Convolution<E>, smooth: Convolution<E>
  fileprivate let squeeze: any Layer<E>, channels: Convolution<E>, pixels: Convolution<E>

  /// Tensors `pyramid.gates.<stage>.{squeeze,channels,pixels}` beside those of `lateral` and `smooth`.
  init(
    _ builder: inout NetworkBuilder<E>, _ stage: Int, lateral: Convolution<E>, smooth: Convolution<E>,
    _ options: ReductionOptions
  ) {
    (self.stage, self.lateral, self.smooth) = (stage, lateral, smooth)
    let name = "pyramid.gates.\(stage)", count = lateral.geometry.outputs
    let inner = builder.hidden(count, options.reduction)
    squeeze = builder.squeeze(name + ".squeeze", count, inner)
    channels = builder.convolution(name + ".channels", inner, count, bias: true)
    pixels = builder.convolution(name + ".pixels", lateral.geometry.inputs, 1, bias: true)
  }

  func express(_ c: InferenceGraph.Value, above: InferenceGraph.Value?, in graph: InferenceGraph)
    -> InferenceGraph.Value
  {
    let above = after("the level above", above)
    let coarse = graph.upsampled(smooth.express(above, in: graph), height: c.height, width: c.width)
    let opened = channels.express(squeeze.express(above, in: graph), in: graph)
    return graph.sum(
      GateProduct<E>.express(lateral.express(c, in: graph), [opened], in: graph),
      GateProduct<E>.express(coarse, [pixels.express(c, in: graph)], in: graph))
  }

  func forward(_ c: Feature<E>, above: Tensor<E>?, _ run: Run<E>) throws -> any PyramidLevelPasses<E> {
    try GatedLevelPasses(self, c, above: after("the level above", above), run)
  }
}

private final class GatedLevelPasses<E: Element>: PyramidLevelPasses {
  let p: Tensor<E>
  private let above: Shape
  private let lateral: LinearPasses<E>, smooth: LinearPasses<E>
  private let squeeze: any Passes<E>, channels: LinearPasses<E>, pixels: LinearPasses<E>
  private let left: GateProduct<E>, right: GateProduct<E>
  private var pDot: Tensor<E>?
  /// l̄, b̄, ā and the gradient of what was upsampled.
  private var bars: (lateral: Tensor<E>, pixels: Tensor<E>, channels: Tensor<E>, smooth: Tensor<E>)?

  init(_ level: GatedLevel<E>, _ c: Feature<E>, above: Tensor<E>, _ run: Run<E>) throws {
    let stage = level.stage
    self.above = above.shape
    let lateral = run.row("pyramid.lateral.\(stage)", { $0.y.shape }) { LinearPasses(level.lateral, c, run) }
    let smooth = run.smooth(level.smooth, above, stage, c.shape)
    let squeeze = try run.row("pyramid.gates.\(stage).squeeze", { $0.y.shape }) {
      try level.squeeze.forward(.plain(above), run)
    }
    let channels = run.row("pyramid.gates.\(stage).channels", { $0.y.shape }) {
      LinearPasses(level.channels, squeeze.y, run)
    }
    let pixels = run.row("pyramid.gates.\(stage).pixels", { $0.y.shape }) { LinearPasses(level.pixels, c, run) }
    left = GateProduct(lateral.y.value, [channels.y.value], run)
    let coarse = Upsample.forward(smooth.y.value.tensor, height: c.shape.height, width: c.shape.width, run.context)
    right = GateProduct(.plain(coarse), [pixels.y.value], run)
    p = Addition.forward(.plain(left.y), right.y, run.context)
    (self.lateral, self.smooth, self.squeeze, self.channels, self.pixels) = (lateral, smooth, squeeze, channels, pixels)
  }

  func forwardTangent(_ c: Operand<E>?, above: Tensor<E>?, _ run: Run<E>) throws -> Tensor<E>? {
    // What moves c_s moves the stages behind it.
    guard let above else { return nil }
    func dot(_ map: LinearPasses<E>) -> Operand<E> {
      c.map { map.forwardTangent($0, run) } ?? .scaled(map.y.value.tensor, by: 0)
    }
    let coarse = smooth.forwardTangent(.plain(above), run).tensor
    let squeezed = try squeeze.forwardTangent(.plain(above), adding: nil, run)
    let leftDot = left.forwardTangent(dot(lateral), [channels.forwardTangent(squeezed, run)], run)
    let up = Upsample.forward(coarse, height: p.shape.height, width: p.shape.width, run.context)
    let rightDot = right.forwardTangent(.plain(up), [dot(pixels)], run)
    let sum = Addition.forward(.plain(leftDot), rightDot, run.context)
    pDot = sum
    return sum
  }

  func backward(_ pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) {
    let (lateralBar, channelBars) = left.backward(pBar, adding: nil, pass, run)
    let (upBar, pixelBars) = right.backward(pBar, adding: nil, pass, run)
    let smoothBar = Upsample.backward(upBar, height: above.height, width: above.width, run.context)
    smooth.backwardWeights(smoothBar, pass, run)
    lateral.backwardWeights(lateralBar, pass, run)
    pixels.backwardWeights(pixelBars[0], pass, run)
    channels.backwardWeights(channelBars[0], pass, run)
    bars = (lateralBar, pixelBars[0], channelBars[0], smoothBar)
  }

  func inputGradient(adding addend: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>) -> Gradient<E>? {
    let bars = after("the level's backward pass", bars)
    let first = pixels.backwardData(bars.pixels, adding: addend, target: .plain, run)
    return lateral.backwardData(bars.lateral, adding: first.tensor, target: target, run)
  }

  func aboveGradient(adding pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) throws -> Tensor<E> {
    let bars = after("the level's backward pass", bars)
    defer { self.bars = nil }
    let squeezeBar = channels.backwardData(bars.channels, target: squeeze.y.target, run)
    let first = try squeeze.backward(squeezeBar, adding: pBar, target: .plain, pass, run)
    return smooth.backwardData(bars.smooth, adding: first.tensor, target: .plain, run).tensor
  }

  var storedTangents: [Tensor<E>] {
    left.storedTangents + right.storedTangents + squeeze.storedTangents + [pDot].compactMap { $0 }
  }
}
