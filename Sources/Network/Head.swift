import Layers
import Tensors

/// A head: maps, masked in training, or a band of them, pooled one after the other into a feature; a neck, and a classifier.
package final class Head<E: Element> {
  package typealias A = E.Accumulator
  /// What is pooled, in the order of the feature.
  package let sources: [MapSource]
  fileprivate let pools: [any Pool<E>]
  /// What a source's map passes on its way to the pool.
  fileprivate let layers: [Sequential<E>?]
  /// The parameters of the pools, and of the neck and all behind it.
  fileprivate let poolRange: Range<Int>, range: Range<Int>
  package let neck: any Neck<A>
  package let classifier: any Classifier<A>
  /// Of the head's loss terms: parameters of their own, in the layout of a weight of [classes, length].
  package let termParameters: [ParameterLayout.Slot?]
  /// Whether it is retrieved by.
  package let retrieve: Bool
  /// What its classifier tells apart.
  package let classes: Int
  /// Of each source's map.
  fileprivate let channels: [Int]

  /// `maps`: the channels of the maps there are. The paper's own head has the tensor names `neck.*` and `classifier.*`, others
  /// `heads.<name>.neck.*` and so on.
  /// `stream` tells the masks of a network apart.
  init(_ options: HeadOptions, _ maps: [MapSource: Int], stream: Int, _ builder: inout NetworkBuilder<E>) {
    let architecture = builder.architecture
    sources = options.sources.isEmpty ? architecture.usualSources : options.sources
    let channels = sources.map { after("the choice of maps", maps[$0]) }, features = channels.reduce(0, +)
    let prefix = architecture.heads.isEmpty ? "" : "heads.\(options.name).",
      classes = options.count(of: architecture.classes(options.label))
    let sources = sources
    layers = sources.indices.map { index in
      let mask = options.mask.maskKind.map { RandomMask<E>($0, stream: stream + index) as any Layer<E> }
      let band: (any Layer<E>)? = options.bands > 1 ? Band(options.band - 1, of: options.bands) : nil
      let layers = [mask, band].compactMap { $0 }
      return layers.isEmpty ? nil : Sequential(layers)
    }
    (pools, poolRange) = builder.recorded { builder in
      zip(sources, channels).map { Self.pool(options.pool, prefix + "pool.\($0.rawValue)", $1, &builder) }
    }
    ((neck, classifier, termParameters), range) = builder.recorded { builder in
      builder.accumulating {
        (layout: inout ParameterLayout, statistics: inout ParameterLayout)
          -> (any Neck<A>, any Classifier<A>, [ParameterLayout.Slot?]) in
        let neck: any Neck<A> =
          switch options.neck {
          case .embedding(let options):
            EmbeddingNeck(
              &layout, &statistics, prefix, features: features,
              embedding: options.length(or: architecture.embedding))
          case .bnneck(let options):
            BNNeck(&layout, &statistics, prefix, features: features, shift: options.shift)
          case .prelu(let options):
            ParametricNeck(
              &layout, &statistics, prefix, features: features,
              embedding: options.length(or: architecture.embedding))
          }
        let classifier: any Classifier<A> =
          switch options.classifier {
          case .linear(let options):
            LinearClassifier(&layout, prefix, inputs: neck.classifiedLength, classes: classes, bias: options.bias)
          case .cosine: CosineClassifier(&layout, prefix, inputs: neck.classifiedLength, classes: classes)
          }
        let slots = options.losses.map { choice in
          choice.term.parameters(classes: classes, length: neck.embeddingLength).map {
            layout.add("\(prefix)\(choice.term.name).weight", .centre, shape: $0)
          }
        }
        return (neck, classifier, slots)
      }
    }
    (self.channels, retrieve, self.classes) = (channels, options.retrieve, classes)
  }

  private static func pool(
    _ kind: PoolKind, _ name: String, _ channels: Int, _ builder: inout NetworkBuilder<E>
  ) -> any Pool<E> {
    switch kind {
    case .average: AveragePool()
    case .max: GlobalMax()
    case .gem: builder.accumulating { layout, _ in GeneralizedMean(&layout, name) }
    case .attention: attentivePool(name, channels, &builder)
    }
  }

  private static func attentivePool(_ name: String, _ channels: Int, _ builder: inout NetworkBuilder<E>) -> any Pool<E>
  {
    let gate = builder.surroundings(name + ".gate", channels)
    return builder.accumulating { layout, _ in AttentivePool(&layout, name, gate: gate) }
  }

  fileprivate func feature(_ images: Int, _ run: Run<E>) -> Tensor<E.Accumulator> {
    Tensor(Shape(images, 1, 1, channels.reduce(0, +)), in: run.context.arena)
  }

  /// The descriptor, as operators of `graph`.
  package func express(_ maps: (MapSource) -> InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let pooled = sources.indices.map { index in
      let map = maps(sources[index])
      return pools[index].express(layers[index]?.express(map, in: graph) ?? map, in: graph)
    }
    return neck.express(graph.joined(pooled), in: graph)
  }

  /// `maps`: those of the sources.
  package func forward(_ maps: (MapSource) -> Feature<E>, images: Int, _ run: Run<E>) throws -> HeadPasses<E> {
    for range in [poolRange, range] { try run.require(range) }
    let feature = feature(images, run)
    var passed: [(any Passes<E>)?] = [], pooled: [any PoolPasses<E>] = [], first = 0
    for (index, source) in sources.enumerated() {
      passed.append(try layers[index]?.forward(maps(source), run))
      let map = passed[index]?.y ?? maps(source)
      pooled.append(try pools[index].forward(map.value, into: feature, first: first, run))
      first += map.shape.channels
    }
    return HeadPasses(self, try neck.forward(feature, classifier, run.accumulating), images, passed, pooled)
  }
}

/// What follows the forward pass of a head.
package final class HeadPasses<E: Element> {
  package typealias A = E.Accumulator
  private let head: Head<E>, neck: any NeckPasses<A>, images: Int
  /// Of each source: of its layers, if it has any, and of its pool.
  private let passed: [(any Passes<E>)?], pooled: [any PoolPasses<E>]
  /// In a backward pass, behind the neck's.
  private var arrived: (featureBar: Tensor<A>, pass: BackwardPass)?

  fileprivate init(
    _ head: Head<E>, _ neck: any NeckPasses<A>, _ images: Int, _ passed: [(any Passes<E>)?],
    _ pooled: [any PoolPasses<E>]
  ) {
    (self.head, self.neck, self.images, self.passed, self.pooled) = (head, neck, images, passed, pooled)
  }

  package var outputs: HeadOutputs<A> { neck.outputs }

  /// From the tangents of the sources' maps (nil: none) to those of the outputs. After a recording backward pass.
  package func forwardTangent(_ dots: (MapSource) -> Operand<E>?, _ run: Run<E>) throws -> HeadValues<A> {
    let feature = head.feature(images, run)
    feature.zero()
    for (index, source) in head.sources.enumerated() {
      guard var dot = dots(source) else { continue }
      if let passes = passed[index] { dot = try passes.forwardTangent(dot, adding: nil, run) }
      try pooled[index].forwardTangent(dot, into: feature, run)
    }
    return try neck.forwardTangent(feature, run.accumulating)
  }

  /// The neck's part, down to the feature; `gradient` goes on from there.
  package func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<E>) throws {
    arrived = (try neck.backward(bars, pass, run.accumulating), pass)
    pass.gradients?.complete(head.range)
  }

  /// After the gradients of all sources.
  func completePools(_ pass: BackwardPass) { pass.gradients?.complete(head.poolRange) }

  /// The gradient of a source's map, with `addend`, finished by `target`; nil if this head does not read it.
  func gradient(
    _ source: MapSource, adding addend: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>
  ) throws -> Gradient<E>? {
    guard let index = head.sources.firstIndex(of: source) else { return nil }
    let (featureBar, pass) = after("the backward pass of the neck", arrived)
    guard let passes = passed[index] else {
      return try pooled[index].backward(featureBar, adding: addend, target: target, pass, run)
    }
    let bar = try pooled[index].backward(featureBar, adding: nil, target: passes.y.target, pass, run)
    return try passes.backward(bar, adding: addend, target: target, pass, run)
  }
}
