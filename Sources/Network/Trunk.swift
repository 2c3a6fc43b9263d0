import Layers
import Tensors

/// What turns images into maps: a stem, and stages of layers whose outputs c₁, c₂, … others read.
///
/// It alone knows the *places* of the gradient regularizer (0: the images; s: the output of stage s) and tells which
/// gradients of parameters are complete.
package final class Trunk<E: Element> {
  /// A layer, its name, and the range of the layout that its parameters take.
  package struct Recorded {
    let name: String, layer: any Layer<E>, range: Range<Int>

    package init(name: String, layer: any Layer<E>, range: Range<Int>) {
      (self.name, self.layer, self.range) = (name, layer, range)
    }
  }

  private let stem: Recorded
  private let stages: [[Recorded]]
  /// Of each stage's output.
  package let channels: [Int]

  /// The output of every stage's last layer is stored, not pending.
  package init(stem: Recorded, stages: [[Recorded]], channels: [Int]) {
    precondition(stages.count == channels.count && stages.allSatisfy { !$0.isEmpty })
    (self.stem, self.stages, self.channels) = (stem, stages, channels)
  }

  /// c₁, c₂, … as operators of `graph`.
  package func express(_ images: InferenceGraph.Value, in graph: InferenceGraph) -> [InferenceGraph.Value] {
    var current = stem.layer.express(images, in: graph)
    return stages.map { stage in
      current = stage.reduce(current) { $1.layer.express($0, in: graph) }
      return current
    }
  }

  /// `perturbations` are added to the features at their places; then only the outputs of the pass mean anything. In
  /// evaluation nothing but the outputs is kept.
  package func forward(_ images: Tensor<E>, adding perturbations: [Int: Tensor<E>] = [:], _ run: Run<E>) throws
    -> TrunkPasses<E>
  {
    let context = run.context
    let input = perturbations[0].map { Addition.forward(.plain(images), $0, context) } ?? images
    var outputs: [Feature<E>] = [], kept: [[TrunkPasses<E>.Recorded]] = []
    /// y of a layer; in evaluation without what finishes its gradient, which would keep tensors that nobody reads again.
    func output(_ passes: any Passes<E>) -> Feature<E> { run.isTraining ? passes.y : Feature(passes.y.value) }
    func first() throws -> (passes: (any Passes<E>)?, y: Feature<E>) {
      try run.require(stem.range)
      let passes = try stem.layer.forward(.plain(input), run)
      return (run.isTraining ? passes : nil, output(passes))
    }
    let (stemPasses, stemOutput) = try first()
    var current = stemOutput
    for stage in stages {
      kept.append([])
      for block in stage {
        try run.require(block.range)
        let passes = try run.row(block.name, { $0.y.shape }) { try block.layer.forward(current, run) }
        if run.isTraining { kept[kept.count - 1].append((passes, block.range)) }
        current = output(passes)
      }
      if let perturbation = perturbations[outputs.count + 1] {
        current = .plain(Addition.forward(current.value, perturbation, context))
      }
      outputs.append(current)
    }
    return TrunkPasses(stem: stemPasses.map { ($0, stem.range) }, stages: kept, outputs: outputs)
  }
}

/// What follows the forward pass of a trunk. A backward pass that is not recording lets go of each layer as it leaves it.
package final class TrunkPasses<E: Element> {
  typealias Recorded = (passes: any Passes<E>, range: Range<Int>)

  /// c₁, c₂, ….
  package let outputs: [Feature<E>]
  private var stem: Recorded?
  private var stages: [[Recorded]]

  fileprivate init(stem: Recorded?, stages: [[Recorded]], outputs: [Feature<E>]) {
    (self.stem, self.stages, self.outputs) = (stem, stages, outputs)
  }

  private var stemPasses: any Passes<E> { after("a training forward pass", stem).passes }

  package var storedTangents: [Tensor<E>] {
    (stem?.passes.storedTangents ?? []) + stages.joined().flatMap { $0.passes.storedTangents }
  }

  /// From v at the places, times τ, to the tangents of the outputs; nil where nothing was perturbed below. After a
  /// recording backward pass.
  package func forwardTangent(at v: [Int: Tensor<E>], _ run: Run<E>) throws -> [Operand<E>?] {
    var current = try v[0].map { try stemPasses.forwardTangent(.plain($0), adding: nil, run) }
    return try stages.indices.map { stage in
      guard var tangent = current else {
        current = v[stage + 1].map { .plain($0) }
        return current
      }
      let blocks = stages[stage]
      for (index, block) in blocks.enumerated() {
        tangent = try block.passes.forwardTangent(
          tangent, adding: index == blocks.count - 1 ? v[stage + 1] : nil, run)
      }
      current = tangent
      return tangent
    }
  }

  /// `top`: the gradient of the last output, finished by its target unless the pass asks for it; `others`: contributions to
  /// the gradients of the outputs before, by place. Returns the gradients that the pass asks for, by place.
  @discardableResult
  package func backward(
    _ top: Gradient<E>, adding others: [Int: Tensor<E>], _ pass: BackwardPass, _ run: Run<E>
  ) throws -> [Int: Tensor<E>] {
    var gradient = top, others = others, asked: [Int: Tensor<E>] = [:]
    for stage in stages.indices.reversed() {
      // The gradient of the output of this stage has arrived.
      if pass.asks(for: stage + 1) {
        asked[stage + 1] = gradient.tensor
        if pass.reaches(stage) { gradient = outputs[stage].target.finish(gradient.tensor, run.context) }
      }
      guard pass.reaches(stage) else { return asked }
      for index in stages[stage].indices.reversed() {
        let (passes, range) = stages[stage][index]
        gradient = try passes.backward(
          gradient, adding: index == 0 ? others.removeValue(forKey: stage) : nil,
          target: target(below: index, stage, pass), pass, run)
        guard let gradients = pass.gradients else { continue }
        gradients.complete(range)
        stages[stage].removeLast()
      }
    }
    let (passes, range) = after("a training forward pass", stem)
    if pass.asks(for: 0) {
      asked[0] = try passes.backward(gradient, adding: nil, target: .plain, pass, run).tensor
    } else {
      try passes.backwardToParameters(gradient, pass, run)
    }
    if let gradients = pass.gradients {
      gradients.complete(range)
      stem = nil
    }
    return asked
  }

  /// What finishes the gradient of the input of a block: before the first one of a stage stands the output of the stage
  /// before, which others read too, and which may be asked for as it comes.
  private func target(below index: Int, _ stage: Int, _ pass: BackwardPass) -> GradientTarget<E> {
    if index > 0 { return stages[stage][index - 1].passes.y.target }
    guard stage > 0 else { return stemPasses.y.target }
    return pass.asks(for: stage) ? .plain : outputs[stage - 1].target
  }
}
