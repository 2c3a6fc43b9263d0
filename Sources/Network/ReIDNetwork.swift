import Layers
import Tensors

/// The whole network: images → trunk → pyramid and branch, if it has them → heads.
package final class ReIDNetwork<E: Element> {
  package let architecture: Architecture
  package let layout: ParameterLayout, statistics: ParameterLayout
  /// Names of the trunk's parameters and running statistics.
  package let trunkTensors: Set<String>
  let trunk: Trunk<E>
  let pyramid: Pyramid<E>?
  let branch: (any Branch<E>)?
  package let heads: [Head<E>]
  private let accumulatorMaps: [any LinearMap<E.Accumulator>]
  let maps: [(map: any LinearMap<E>, readsImages: Bool)]

  package init(_ architecture: Architecture) {
    var builder = NetworkBuilder<E>(architecture)
    self.architecture = architecture
    trunk = builder.trunk { Self.trunk(&$0) }
    trunkTensors = Set((builder.parameters.slots + builder.statistics.slots).map(\.name))
    pyramid = architecture.isDirect ? nil : Pyramid(&builder, trunk.channels)
    branch = builder.branch(trunk, pyramid)
    let maps = Self.maps(trunk, pyramid, branch)
    heads = architecture.headOptions.enumerated().map { Head($1, maps, stream: 16 * $0, &builder) }
    self.maps = builder.maps
    accumulatorMaps = builder.accumulatorMaps
    layout = builder.parameters
    statistics = builder.statistics
  }

  private static func trunk(_ builder: inout NetworkBuilder<E>) -> Trunk<E> {
    switch builder.architecture.trunk {
    case .resnet18: ResNet.trunk(&builder, [2, 2, 2, 2], isDeep: false)
    case .resnet34: ResNet.trunk(&builder, [3, 4, 6, 3], isDeep: false)
    case .resnet50: ResNet.trunk(&builder, [3, 4, 6, 3], isDeep: true)
    case .resnet101: ResNet.trunk(&builder, [3, 4, 23, 3], isDeep: true)
    case .osnet: OSNet.trunk(&builder, instanceNorms: false)
    case .osnetAin: OSNet.trunk(&builder, instanceNorms: true)
    }
  }

  /// The channels of the maps that heads can read.
  private static func maps(_ trunk: Trunk<E>, _ pyramid: Pyramid<E>?, _ branch: (any Branch<E>)?) -> [MapSource: Int] {
    var channels: [MapSource: Int] = [:]
    for (index, count) in trunk.channels.enumerated() { channels[.stage(index + 1)] = count }
    for stage in pyramid?.stages ?? [] { channels[.level(stage)] = pyramid?.channels }
    channels[.branch] = branch?.channels
    return channels
  }

  /// Makes the working weights ready from the masters. `training`: for a backward pass too, `inputGradient`: down to the
  /// images.
  package func pack(
    _ parameters: Parameters<E.Accumulator>, training: Bool, inputGradient: Bool = false, _ context: Context<E>
  ) {
    for (map, readsImages) in maps {
      map.pack(parameters.values, backward: training && (inputGradient || !readsImages), context)
    }
    for map in accumulatorMaps { map.pack(parameters.values, backward: training, context.accumulating) }
    for head in heads {
      for map in head.neck.maps { map.pack(parameters.values, backward: training, context.accumulating) }
      if training { head.classifier.map.pack(parameters.values, backward: true, context.accumulating) }
    }
  }

  /// How far into the layout `pack` for a training step reads: some maps copy their weights then, others when a pass begins.
  package func packingReads(inputGradient: Bool) -> Int {
    var slots = maps.flatMap { map, readsImages in
      map.readsWhenPacked(backward: inputGradient || !readsImages) ? map.slots : []
    }
    for map in accumulatorMaps + heads.flatMap({ $0.neck.maps + [$0.classifier.map] })
    where map.readsWhenPacked(backward: true) { slots += map.slots }
    return slots.map(\.range.upperBound).max() ?? 0
  }

  /// Packs for `classify`: what evaluation needs, and the classifier of a head.
  package func packToClassify(_ parameters: Parameters<E.Accumulator>, head: Int = 0, _ context: Context<E>) {
    pack(parameters, training: false, context)
    heads[head].classifier.map.pack(parameters.values, backward: false, context.accumulating)
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

  /// From the gradients of working weights, summed over all ranks, to those of the masters.
  package func pullBack(_ gradients: ParameterGradients, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>)
  {
    for (map, _) in maps { map.pullBack(gradients, parameters.values, context.workers) }
    for head in heads { head.classifier.map.pullBack(gradients, parameters.values, context.workers) }
  }

  /// After weights were put into the masters: what stands beside them is such that these are what is used.
  package func fit(_ parameters: Parameters<E.Accumulator>, _ workers: Workers) {
    for (map, _) in maps { map.fit(parameters.values, workers) }
  }

  /// Bytes of working weights that outlive a pass outside of the arena, after `pack`.
  package var keptBytes: Int {
    let necks = accumulatorMaps + heads.flatMap { $0.neck.maps + [$0.classifier.map] }
    return maps.reduce(0) { $0 + $1.map.keptBytes } + necks.reduce(0) { $0 + $1.keptBytes }
  }

  /// `images`: n × height × width × 3, normalized. `perturbations` are added to the features at their places (0: the
  /// images; s: the output of stage s); the passes then serve no backward pass.
  package func forward(_ images: Tensor<E>, adding perturbations: [Int: Tensor<E>] = [:], _ run: Run<E>) throws
    -> NetworkPasses<E>
  {
    let trunk = try trunk.forward(images, adding: perturbations, run)
    for range in [self.pyramid?.range, self.branch?.range].compactMap({ $0 }) { try run.require(range) }
    let pyramid = try pyramid?.forward(trunk.outputs, run)
    var maps = Maps(stages: trunk.outputs, levels: pyramid?.maps)
    let branch = try branch?.forward(maps.callAsFunction, run)
    maps.branch = branch?.y
    let heads = try heads.map { try $0.forward(maps.callAsFunction, images: images.shape.images, run) }
    return NetworkPasses(self, trunk, pyramid, branch, heads)
  }

  /// Evaluation: running statistics; what is retrieved by, n × 1 × 1 × its length.
  package func embed(_ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>) throws
    -> Tensor<E.Accumulator>
  {
    let outputs = try forward(images, Run(context, parameters, .evaluation)).outputs
    let descriptors = zip(heads, outputs).filter { $0.0.retrieve }.map { $0.1.descriptor }
    guard descriptors.count > 1 else { return descriptors[0] }
    let whole = context.accumulating.tensor(Shape(images.shape.images, 1, 1, descriptorLength))
    var first = 0
    for descriptor in descriptors {
      let length = descriptor.shape.channels
      for row in 0..<images.shape.images where !context.workers.isRehearsal {
        (whole.pointer + row * descriptorLength + first).update(from: descriptor.pointer + row * length, count: length)
      }
      first += length
    }
    return whole
  }

  /// `embed` of normalized images, N×3×H×W, as operators of `graph`: N × its length.
  package func express(_ images: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let stages = trunk.express(images, in: graph)
    var maps = Maps(stages: stages, levels: pyramid?.express(stages, in: graph))
    maps.branch = branch?.express(maps.callAsFunction, in: graph)
    return graph.joined(heads.filter(\.retrieve).map { $0.express(maps.callAsFunction, in: graph) })
  }

  /// Evaluation: running statistics; the logits of a head, n × 1 × 1 × its classes. After `packToClassify`.
  package func classify(
    _ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, head: Int = 0, _ context: Context<E>
  ) throws -> Tensor<E.Accumulator> {
    let run = Run(context, parameters, .evaluation), output = try forward(images, run).outputs[head]
    return heads[head].classifier.classify(output.descriptor, run.accumulating).logits
  }

  /// Of what images are retrieved by.
  package var descriptorLength: Int { heads.filter(\.retrieve).reduce(0) { $0 + $1.neck.descriptorLength } }
}

/// What follows the forward pass of a network.
package final class NetworkPasses<E: Element> {
  package typealias A = E.Accumulator
  private let network: ReIDNetwork<E>
  private let trunk: TrunkPasses<E>, pyramid: PyramidPasses<E>?, branch: (any BranchPasses<E>)?, heads: [HeadPasses<E>]

  fileprivate init(
    _ network: ReIDNetwork<E>, _ trunk: TrunkPasses<E>, _ pyramid: PyramidPasses<E>?, _ branch: (any BranchPasses<E>)?,
    _ heads: [HeadPasses<E>]
  ) {
    (self.network, self.trunk, self.pyramid, self.branch, self.heads) = (network, trunk, pyramid, branch, heads)
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
  package var storedTangents: [Tensor<E>] {
    trunk.storedTangents + (pyramid?.storedTangents ?? []) + (branch?.storedTangents ?? [])
  }

  /// From v at the places (0: the images; s: the output of stage s), times τ, to the tangents of this rank's rows of each
  /// head's outputs. After a backward pass that recorded the gradients at these places.
  package func forwardTangent(at v: [Int: Tensor<E>], _ run: Run<E>) throws -> [HeadValues<A>] {
    let stages = try trunk.forwardTangent(at: v, run)
    let levels = try pyramid?.forwardTangent(stages, run) ?? [:]
    func body(_ source: MapSource) -> Operand<E>? {
      source.isLevel ? levels[source.number] : stages[source.number - 1]
    }
    let beside = try branch?.forwardTangent(body, run)
    return try heads.map { try $0.forwardTangent({ $0 == .branch ? beside : body($0) }, run) }
  }

  /// A backward pass from the gradients of this rank's rows of each head's outputs: `pass` says which. One that records
  /// returns the gradients at its places; the others add up parameter gradients and let go of what was saved.
  @discardableResult
  package func backward(_ bars: [HeadValues<A>], _ pass: BackwardPass, _ run: Run<E>) throws -> [Int: Tensor<E>] {
    precondition(bars.count == heads.count)
    for (head, bars) in zip(heads, bars).reversed() { try head.backward(bars, pass, run) }
    /// From head to head; the last one that reads the map finishes the gradient.
    func headsAt(_ source: MapSource, _ addend: Tensor<E>?, _ target: GradientTarget<E>) throws -> Gradient<E>? {
      let reading = zip(network.heads, heads).filter { $0.0.sources.contains(source) }.map { $0.1 }
      var gradient: Gradient<E>?
      for (index, head) in reading.enumerated() {
        gradient = try head.gradient(
          source, adding: gradient?.tensor ?? addend, target: index == reading.count - 1 ? target : .plain, run)
      }
      return gradient
    }
    // Before what it reads.
    if let branch, let end = try headsAt(.branch, nil, branch.y.target) { try branch.backward(end, pass, run) }
    /// With the branch, which reads maps of the body too.
    func readers(_ source: MapSource, _ addend: Tensor<E>?, _ target: GradientTarget<E>) throws -> Gradient<E>? {
      guard let through = try branch?.gradient(source, pass, run) else { return try headsAt(source, addend, target) }
      let sum = addend.map { Addition.forward(.plain(through), $0, run.context) } ?? through
      return try headsAt(source, sum, target) ?? target.finish(sum, run.context)
    }
    let top: Gradient<E>, others: [Int: Tensor<E>]
    if let pyramid {
      (top, others) = try pyramid.backward(readers, pass, run)
    } else {
      (top, others) = try direct(readers, pass)
    }
    for range in [network.branch?.range, network.pyramid?.range].compactMap({ $0 }) { pass.gradients?.complete(range) }
    for head in heads { head.completePools(pass) }
    return try trunk.backward(top, adding: others, pass, run)
  }

  /// Without a pyramid the heads read the stages themselves.
  private func direct(_ readers: MapReaders<E>, _ pass: BackwardPass) throws -> (
    top: Gradient<E>, others: [Int: Tensor<E>]
  ) {
    let last = trunk.outputs.count
    var others: [Int: Tensor<E>] = [:]
    for stage in 1..<last { others[stage] = try readers(.stage(stage), nil, .plain)?.tensor }
    let target = pass.asks(for: last) ? .plain : trunk.outputs[last - 1].target
    guard let top = try readers(.stage(last), nil, target) else { preconditionFailure("nobody reads the last stage") }
    return (top, others)
  }
}
