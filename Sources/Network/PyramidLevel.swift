import Layers
import Tensors

/// How one level of a pyramid, p_s, follows from the stage's output c_s and from the level above.
protocol PyramidLevel<E>: AnyObject {
  associatedtype E: Element
  /// `above`: p_{s+1}; nil at the top.
  func forward(_ c: Feature<E>, above: Tensor<E>?, _ run: Run<E>) throws -> any PyramidLevelPasses<E>
  func express(_ c: InferenceGraph.Value, above: InferenceGraph.Value?, in graph: InferenceGraph)
    -> InferenceGraph.Value
}

/// What follows the forward pass of a level.
protocol PyramidLevelPasses<E>: AnyObject {
  associatedtype E: Element
  var p: Tensor<E> { get }

  /// ṗ_s from ċ_s and ṗ_{s+1}, nil from none.
  func forwardTangent(_ c: Operand<E>?, above: Tensor<E>?, _ run: Run<E>) throws -> Tensor<E>?

  /// Gradients of the level's own parameters from p̄_s, as `pass` says; before those of what it reads.
  func backward(_ pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) throws

  /// c̄_s with `addend`, finished by `target`; nil where the level does not read it. Once a pass at most.
  func inputGradient(adding addend: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>) -> Gradient<E>?

  /// `pBar`, p̄_{s+1} as it stands, with this level's part. Once a pass.
  func aboveGradient(adding pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) throws -> Tensor<E>

  var storedTangents: [Tensor<E>] { get }
}

/// The paper's: p_s = lateral(c_s) + smooth(upsample(p_{s+1})), either of which may be missing.
///
/// A 1×1 convolution and nearest upsampling commute, so `smooth` runs before the upsampling, on a quarter of the pixels.
final class PlainLevel<E: Element>: PyramidLevel {
  let stage: Int
  let lateral: Convolution<E>?, smooth: Convolution<E>?

  init(_ stage: Int, lateral: Convolution<E>?, smooth: Convolution<E>?) {
    (self.stage, self.lateral, self.smooth) = (stage, lateral, smooth)
  }

  func express(_ c: InferenceGraph.Value, above: InferenceGraph.Value?, in graph: InferenceGraph)
    -> InferenceGraph.Value
  {
    let own = lateral?.express(c, in: graph)
    guard let smooth, let above else { return after("a level's making", own) }
    let coarse = graph.upsampled(smooth.express(above, in: graph), height: c.height, width: c.width)
    return own.map { graph.sum($0, coarse) } ?? coarse
  }

  func forward(_ c: Feature<E>, above: Tensor<E>?, _ run: Run<E>) -> any PyramidLevelPasses<E> {
    var smoothed: LinearPasses<E>?
    if let smooth, let above { smoothed = run.smooth(smooth, above, stage, c.shape) }
    let coarse = smoothed?.y.value.tensor
    guard let lateral else {
      let coarse = after("a level above", coarse)
      let p = Upsample.forward(coarse, height: c.shape.height, width: c.shape.width, run.context)
      return PlainLevelPasses(nil, smoothed, p: p, above)
    }
    let passes = run.row("pyramid.lateral.\(stage)", { $0.y.shape }) { LinearPasses(lateral, c, adding: coarse, run) }
    return PlainLevelPasses(passes, smoothed, p: passes.y.value.tensor, above)
  }
}

extension Run {
  /// Counted where published networks have it, behind the upsampling to the pixels of c_s.
  func smooth(_ convolution: Convolution<E>, _ above: Tensor<E>, _ stage: Int, _ c: Shape) -> LinearPasses<E> {
    row(
      "pyramid.smooth → \(stage)", { $0.y.shape }, countedAt: c.with(channels: convolution.geometry.outputs)
    ) {
      LinearPasses(convolution, .plain(above), self)
    }
  }
}

private final class PlainLevelPasses<E: Element>: PyramidLevelPasses {
  let p: Tensor<E>
  private let lateral: LinearPasses<E>?, smooth: LinearPasses<E>?, above: Shape?
  private var pBar: Tensor<E>?, coarseBar: Tensor<E>?

  init(_ lateral: LinearPasses<E>?, _ smooth: LinearPasses<E>?, p: Tensor<E>, _ above: Tensor<E>?) {
    (self.lateral, self.smooth, self.p, self.above) = (lateral, smooth, p, above?.shape)
  }

  func forwardTangent(_ c: Operand<E>?, above: Tensor<E>?, _ run: Run<E>) -> Tensor<E>? {
    var coarse: Tensor<E>?
    if let above, let smooth { coarse = smooth.forwardTangent(.plain(above), run).tensor }
    if let c, let lateral { return lateral.forwardTangent(c, adding: coarse, run).tensor }
    return coarse.map { Upsample.forward($0, height: p.shape.height, width: p.shape.width, run.context) }
  }

  func backward(_ pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) {
    if let smooth, let above {
      let coarseBar = Upsample.backward(pBar, height: above.height, width: above.width, run.context)
      smooth.backwardWeights(coarseBar, pass, run)
      self.coarseBar = coarseBar
    }
    lateral?.backwardWeights(pBar, pass, run)
    self.pBar = pBar
  }

  func inputGradient(adding addend: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>) -> Gradient<E>? {
    defer { pBar = nil }
    return lateral?.backwardData(after("the level's backward pass", pBar), adding: addend, target: target, run)
  }

  func aboveGradient(adding pBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) -> Tensor<E> {
    defer { (self.pBar, coarseBar) = (nil, nil) }
    guard let smooth, let coarseBar else { return pBar }
    return smooth.backwardData(coarseBar, adding: pBar, target: .plain, run).tensor
  }

  var storedTangents: [Tensor<E>] { [] }
}
