import Layers
import Tensors

/// Gates in front of a pyramid: each stage's output times a gate a channel that the means of all stages open (PAM, ICPR 2020;
/// reconstructed from the abstract):
///
///     c'_s = c_s∘σ(a_s),  a_s = Σ_t W_st∗u_t + b_s,  u_t = max(0, n_t(W_t∗mean(c_t)))
///
/// Where all a_s are large, it is the plain pyramid. Stored: c'_s and what the layers store.
///
/// c_s: n×h_s×w_s×C_s, as it is read; u_t: n×1×1×hidden. Precision: the layers'. Collectives: those of the norms n_t.
final class PyramidInputs<E: Element> {
  /// Ascending.
  fileprivate let stages: [Int]
  /// By stage t.
  fileprivate let squeeze: [Int: any Layer<E>]
  /// W_st by stage s, in the order of t; the first has the bias.
  fileprivate let openings: [Int: [Convolution<E>]]

  /// Tensors `pyramid.inputs.<t>.squeeze` and `pyramid.inputs.<s>.from<t>`. `trunk`: channels of its stages.
  init(_ builder: inout NetworkBuilder<E>, _ stages: [Int], _ trunk: [Int], _ options: ReductionOptions) {
    self.stages = stages
    let hidden = builder.hidden(builder.architecture.pyramidChannels, options.reduction)
    var squeeze: [Int: any Layer<E>] = [:], openings: [Int: [Convolution<E>]] = [:]
    for stage in stages {
      squeeze[stage] = builder.squeeze("pyramid.inputs.\(stage).squeeze", trunk[stage - 1], hidden)
    }
    for stage in stages {
      openings[stage] = stages.map { from in
        builder.convolution(
          "pyramid.inputs.\(stage).from\(from)", hidden, trunk[stage - 1], bias: from == stages.first)
      }
    }
    (self.squeeze, self.openings) = (squeeze, openings)
  }

  /// c'_s by stage from c₁, c₂, …, as operators of `graph`.
  func express(_ outputs: [InferenceGraph.Value], in graph: InferenceGraph) -> [Int: InferenceGraph.Value] {
    let hidden = stages.map { after("the gates' making", squeeze[$0]).express(outputs[$0 - 1], in: graph) }
    var maps: [Int: InferenceGraph.Value] = [:]
    for stage in stages {
      let opened = zip(openings[stage] ?? [], hidden).map { $0.express($1, in: graph) }
      maps[stage] = GateProduct<E>.express(outputs[stage - 1], opened, in: graph)
    }
    return maps
  }

  /// `outputs`: c₁, c₂, ….
  func forward(_ outputs: [Feature<E>], _ run: Run<E>) throws -> PyramidInputPasses<E> {
    try PyramidInputPasses(self, outputs, run)
  }
}

/// What follows the forward pass of the gates.
final class PyramidInputPasses<E: Element> {
  /// c'_s by stage.
  let maps: [Int: Feature<E>]
  private let stages: [Int], inputs: [Int: Feature<E>]
  private let squeeze: [Int: any Passes<E>], openings: [Int: [LinearPasses<E>]], products: [Int: GateProduct<E>]

  fileprivate init(_ gates: PyramidInputs<E>, _ outputs: [Feature<E>], _ run: Run<E>) throws {
    stages = gates.stages
    var inputs: [Int: Feature<E>] = [:], squeeze: [Int: any Passes<E>] = [:], maps: [Int: Feature<E>] = [:]
    for stage in stages {
      inputs[stage] = outputs[stage - 1]
      squeeze[stage] = try run.row("pyramid.inputs.\(stage).squeeze", { $0.y.shape }) {
        try after("the gates' making", gates.squeeze[stage]).forward(outputs[stage - 1], run)
      }
    }
    var openings: [Int: [LinearPasses<E>]] = [:], products: [Int: GateProduct<E>] = [:]
    for stage in stages {
      var passes: [LinearPasses<E>] = []
      for (from, map) in zip(stages, gates.openings[stage] ?? []) {
        let hidden = after("the loop before", squeeze[from]).y
        passes.append(
          run.row("pyramid.inputs.\(stage).from\(from)", { $0.y.shape }) {
            LinearPasses(map, hidden, adding: passes.last?.y.value.tensor, run)
          })
      }
      let product = GateProduct(outputs[stage - 1].value, [after("one opening", passes.last).y.value], run)
      (openings[stage], products[stage], maps[stage]) = (passes, product, .plain(product.y))
    }
    (self.inputs, self.squeeze, self.openings, self.products, self.maps) = (inputs, squeeze, openings, products, maps)
  }

  private func stage<T>(_ stage: Int, _ parts: [Int: T]) -> T { after("the forward pass", parts[stage]) }

  /// ċ'_s by stage from the tangents of the stages' outputs; none from none.
  func forwardTangent(_ outputs: [Operand<E>?], _ run: Run<E>) throws -> [Int: Operand<E>] {
    var hidden: [Int: Operand<E>] = [:], dots: [Int: Operand<E>] = [:]
    for t in stages {
      if let c = outputs[t - 1] { hidden[t] = try stage(t, squeeze).forwardTangent(c, adding: nil, run) }
    }
    guard !hidden.isEmpty else { return [:] }
    for s in stages {
      var sum: Operand<E>?
      for (t, opening) in zip(stages, stage(s, openings)) {
        if let u = hidden[t] { sum = opening.forwardTangent(u, adding: sum?.tensor, run) }
      }
      // A stage in front of all perturbations does not move, but its gate does.
      let c = outputs[s - 1] ?? .scaled(stage(s, inputs).value.tensor, by: 0)
      dots[s] = .plain(stage(s, products).forwardTangent(c, [after("the stages' tangents", sum)], run))
    }
    return dots
  }

  /// From the gradients of c'_s by stage to those of the stages' outputs, with what `readers` of these give: the last one's
  /// finished by its target, unless the pass asks for it; the others as contributions.
  func backward(_ bars: [Int: Tensor<E>], _ readers: MapReaders<E>, _ pass: BackwardPass, _ run: Run<E>) throws
    -> (top: Gradient<E>, others: [Int: Tensor<E>])
  {
    var direct: [Int: Tensor<E>] = [:], gateBars: [Int: Tensor<E>] = [:]
    for s in stages {
      let addend = pass.reaches(s) ? try readers(.stage(s), nil, .plain)?.tensor : nil
      let product = stage(s, products).backward(stage(s, bars), adding: addend, pass, run)
      (direct[s], gateBars[s]) = (product.x, product.gates[0])
    }
    var top: Gradient<E>?, others: [Int: Tensor<E>] = [:]
    for (index, t) in stages.enumerated() {
      let squeeze = stage(t, squeeze)
      var hidden: Gradient<E>?
      for s in stages {
        let opening = stage(s, openings)[index], target = s == stages.last ? squeeze.y.target : .plain
        opening.backwardWeights(stage(s, gateBars), pass, run)
        hidden = opening.backwardData(stage(s, gateBars), adding: hidden?.tensor, target: target, run)
      }
      guard pass.reaches(t) else { continue }
      let isTop = t == stages.last
      let gradient = try squeeze.backward(
        after("the openings", hidden), adding: direct[t],
        target: isTop && !pass.asks(for: t) ? stage(t, inputs).target : .plain, pass, run)
      if isTop { top = gradient } else { others[t] = gradient.tensor }
    }
    return (after("the last stage", top), others)
  }

  var storedTangents: [Tensor<E>] {
    stages.flatMap { stage($0, squeeze).storedTangents + stage($0, products).storedTangents }
  }
}
