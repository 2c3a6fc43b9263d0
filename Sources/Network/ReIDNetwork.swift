import Layers
import Tensors

/// The whole network: images → trunk → pyramid, if it has one → heads.
package final class ReIDNetwork<E: Element> {
  package let architecture: Architecture
  package let layout: ParameterLayout, statistics: ParameterLayout
  let trunk: Trunk<E>
  let pyramid: Pyramid<E>?
  package let heads: [Head<E>]
  let maps: [(map: any LinearMap<E>, readsImages: Bool)]

  package init(_ architecture: Architecture) {
    var builder = NetworkBuilder<E>(architecture)
    self.architecture = architecture
    trunk = ResNet.trunk(&builder)
    pyramid = architecture.isDirect ? nil : Pyramid(&builder)
    heads = [Self.head(&builder, trunk, pyramid)]
    maps = builder.maps
    layout = builder.parameters
    statistics = builder.statistics
  }

  /// The paper's: averages of all levels, or of stages where there is no pyramid.
  private static func head(_ builder: inout NetworkBuilder<E>, _ trunk: Trunk<E>, _ pyramid: Pyramid<E>?) -> Head<E> {
    let architecture = builder.architecture
    let sources = architecture.fusedStages.map { pyramid == nil ? MapSource.stage($0) : .level($0) }
    let channels = architecture.fusedStages.map { pyramid?.channels ?? trunk.channels[$0 - 1] }
    let (neck, range) = builder.recorded { builder in
      builder.accumulating { layout, statistics in
        EmbeddingNeck<E.Accumulator>(
          &layout, &statistics, "", features: channels.reduce(0, +), embedding: architecture.embedding,
          identities: architecture.identities)
      }
    }
    return Head(sources, channels: channels, neck, range)
  }

  /// Packs the working weights from the masters. `training` also packs what the backward pass needs, `inputGradient`
  /// what the gradient of the images does.
  package func pack(
    _ parameters: Parameters<E.Accumulator>, training: Bool, inputGradient: Bool = false, _ context: Context<E>
  ) {
    for (map, readsImages) in maps {
      map.pack(parameters.values, backward: training && (inputGradient || !readsImages), context)
    }
    for head in heads {
      for map in head.neck.maps { map.pack(parameters.values, backward: training, context.accumulating) }
      guard training else { continue }
      for map in head.neck.trainingMaps { map.pack(parameters.values, backward: true, context.accumulating) }
    }
  }

  /// The parameters of the heads' loss terms, by head and term; empty where a term has none.
  package func lossParameters(_ parameters: Parameters<E.Accumulator>) -> [[[Double]]] {
    heads.map { head in
      head.termParameters.map { slot in slot.map { $0.range.map { Double(parameters.values[$0]) } } ?? [] }
    }
  }

  /// Adds the gradients of these parameters, of this rank's rows.
  package func add(_ bars: [[[Double]?]], to gradients: ParameterGradients) {
    for (head, bars) in zip(heads, bars) {
      for case (let slot?, let bar?) in zip(head.termParameters, bars) {
        for (index, value) in zip(slot.range, bar) { gradients.add(value, at: index) }
      }
    }
  }

  /// Bytes of the packed working weights, after `pack`.
  package var packedBytes: Int {
    let necks = heads.flatMap { $0.neck.maps + $0.neck.trainingMaps }
    return maps.reduce(0) { $0 + $1.map.packedBytes } + necks.reduce(0) { $0 + $1.packedBytes }
  }

  /// `images`: n × height × width × 3, normalized. `perturbations` are added to the features at their places (0: the
  /// images; s: the output of stage s); the passes then serve no backward pass.
  package func forward(_ images: Tensor<E>, adding perturbations: [Int: Tensor<E>] = [:], _ run: Run<E>) throws
    -> NetworkPasses<E>
  {
    let trunk = try trunk.forward(images, adding: perturbations, run)
    let pyramid = try pyramid?.forward(trunk.outputs, run)
    func map(_ source: MapSource) -> Feature<E> {
      switch source {
      case .stage(let stage): trunk.outputs[stage - 1]
      case .level(let stage): after("the pyramid's", pyramid?.maps[stage])
      }
    }
    let heads = try heads.map { try $0.forward(map, images: images.shape.images, run) }
    return NetworkPasses(self, trunk, pyramid, heads)
  }

  /// Evaluation: running statistics; what is retrieved by, n × 1 × 1 × its length.
  package func embed(_ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>) throws
    -> Tensor<E.Accumulator>
  {
    try forward(images, Run(context, parameters, .evaluation)).outputs[0].descriptor
  }
}

/// What follows the forward pass of a network.
package final class NetworkPasses<E: Element> {
  package typealias A = E.Accumulator
  private let network: ReIDNetwork<E>
  private let trunk: TrunkPasses<E>, pyramid: PyramidPasses<E>?, heads: [HeadPasses<E>]

  fileprivate init(
    _ network: ReIDNetwork<E>, _ trunk: TrunkPasses<E>, _ pyramid: PyramidPasses<E>?, _ heads: [HeadPasses<E>]
  ) {
    (self.network, self.trunk, self.pyramid, self.heads) = (network, trunk, pyramid, heads)
  }

  /// What losses see of each head.
  package var values: [HeadValues<A>] {
    outputs.map { HeadValues(embedding: $0.embedding, logits: after("a training forward pass", $0.logits)) }
  }

  /// Of each head.
  package var outputs: [HeadOutputs<A>] { heads.map { $0.outputs } }
  /// The feature at a stage, from 1 on.
  package func feature(_ stage: Int) -> Tensor<E> { trunk.outputs[stage - 1].value.tensor }
  /// What `forwardTangent` has stored.
  package var storedTangents: [Tensor<E>] { trunk.storedTangents + (pyramid?.storedTangents ?? []) }

  /// From v at the places (0: the images; s: the output of stage s), times τ, to the tangents of this rank's rows of each
  /// head's outputs. After a backward pass that recorded the gradients at these places.
  package func forwardTangent(at v: [Int: Tensor<E>], _ run: Run<E>) throws -> [HeadValues<A>] {
    let stages = try trunk.forwardTangent(at: v, run)
    let levels = try pyramid?.forwardTangent(stages, run) ?? [:]
    return try heads.map { head in
      try head.forwardTangent(
        { source in
          switch source {
          case .stage(let stage): stages[stage - 1]
          case .level(let stage): levels[stage]
          }
        }, run)
    }
  }

  /// A backward pass from the gradients of this rank's rows of each head's outputs: `pass` says which. One that records
  /// returns the gradients at its places; the others add up parameter gradients and let go of what was saved.
  @discardableResult
  package func backward(_ bars: [HeadValues<A>], _ pass: BackwardPass, _ run: Run<E>) throws -> [Int: Tensor<E>] {
    precondition(bars.count == heads.count)
    for (head, bars) in zip(heads, bars).reversed() { try head.backward(bars, pass, run) }
    /// From head to head; the last one that reads the map finishes the gradient.
    func readers(_ source: MapSource, _ addend: Tensor<E>?, _ target: GradientTarget<E>) -> Gradient<E>? {
      let reading = zip(network.heads, heads).filter { $0.0.sources.contains(source) }.map { $0.1 }
      var gradient: Gradient<E>?
      for (index, head) in reading.enumerated() {
        gradient = head.gradient(
          source, adding: gradient?.tensor ?? addend, target: index == reading.count - 1 ? target : .plain, run)
      }
      return gradient
    }
    let top: Gradient<E>, others: [Int: Tensor<E>]
    if let pyramid {
      (top, others) = try pyramid.backward(readers, pass, run)
      if let range = network.pyramid?.range { pass.gradients?.complete(range) }
    } else {
      (top, others) = direct(readers, pass)
    }
    return try trunk.backward(top, adding: others, pass, run)
  }

  /// Without a pyramid the heads read the stages themselves.
  private func direct(_ readers: MapReaders<E>, _ pass: BackwardPass) -> (top: Gradient<E>, others: [Int: Tensor<E>]) {
    let last = trunk.outputs.count
    var others: [Int: Tensor<E>] = [:]
    for stage in 1..<last { others[stage] = readers(.stage(stage), nil, .plain)?.tensor }
    let target = pass.asks(for: last) ? .plain : trunk.outputs[last - 1].target
    guard let top = readers(.stage(last), nil, target) else { preconditionFailure("nobody reads the last stage") }
    return (top, others)
  }
}
