import Layers
import Tensors

/// A head: averages of maps, one after the other in a feature, a neck, and a classifier.
package final class Head<E: Element> {
  package typealias A = E.Accumulator
  /// What is averaged, in the order of the feature.
  package let sources: [MapSource]
  package let range: Range<Int>
  package let neck: any Neck<A>
  package let classifier: any Classifier<A>
  /// Of the head's loss terms: parameters of their own, in the layout of a weight of [classes, length].
  package let termParameters: [ParameterLayout.Slot?]
  /// Whether it is retrieved by.
  package let retrieve: Bool
  /// Of each source's map.
  fileprivate let channels: [Int]

  /// `maps`: the channels of the maps there are. The paper's own head has the tensor names `neck.*` and `classifier.*`, others
  /// `heads.<name>.neck.*` and so on.
  init(_ options: HeadOptions, _ maps: [MapSource: Int], _ builder: inout NetworkBuilder<E>) {
    let architecture = builder.architecture
    sources = options.sources.isEmpty ? architecture.usualSources : options.sources
    let channels = sources.map { after("the choice of maps", maps[$0]) }, features = channels.reduce(0, +)
    let prefix = architecture.heads.isEmpty ? "" : "heads.\(options.name).",
      classes = architecture.classes(options.label)
    ((neck, classifier, termParameters), range) = builder.recorded { builder in
      builder.accumulating { layout, statistics in
        let neck: any Neck<A> =
          switch options.neck {
          case .embedding(let options):
            EmbeddingNeck(
              &layout, &statistics, prefix, features: features,
              embedding: options.length > 0 ? options.length : architecture.embedding)
          case .bnneck(let options):
            BNNeck(&layout, &statistics, prefix, features: features, shift: options.shift)
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
    (self.channels, retrieve) = (channels, options.retrieve)
  }

  fileprivate func feature(_ images: Int, _ run: Run<E>) -> Tensor<E.Accumulator> {
    Tensor(Shape(images, 1, 1, channels.reduce(0, +)), in: run.context.arena)
  }

  /// Where a source's columns begin in the feature; nil if it is none of this head's.
  fileprivate func firstColumn(_ source: MapSource) -> Int? {
    sources.firstIndex(of: source).map { channels[..<$0].reduce(0, +) }
  }

  /// `maps`: those of the sources.
  package func forward(_ maps: (MapSource) -> Feature<E>, images: Int, _ run: Run<E>) throws -> HeadPasses<E> {
    let feature = feature(images, run)
    var shapes: [Shape] = [], first = 0
    for source in sources {
      let map = maps(source)
      GlobalAverage.forward(map.value, into: feature, first: first, run.context)
      first += map.shape.channels
      shapes.append(map.shape)
    }
    return HeadPasses(self, try neck.forward(feature, classifier, run.accumulating), shapes)
  }
}

/// What follows the forward pass of a head.
package final class HeadPasses<E: Element> {
  package typealias A = E.Accumulator
  private let head: Head<E>, neck: any NeckPasses<A>, shapes: [Shape]
  /// In a backward pass, behind the neck's.
  private var featureBar: Tensor<A>?

  fileprivate init(_ head: Head<E>, _ neck: any NeckPasses<A>, _ shapes: [Shape]) {
    (self.head, self.neck, self.shapes) = (head, neck, shapes)
  }

  package var outputs: HeadOutputs<A> { neck.outputs }

  /// From the tangents of the sources' maps (nil: none) to those of the outputs. After a recording backward pass.
  package func forwardTangent(_ dots: (MapSource) -> Operand<E>?, _ run: Run<E>) throws -> HeadValues<A> {
    let feature = head.feature(shapes.first?.images ?? 0, run)
    feature.zero()
    for (source, first) in head.sources.map({ ($0, head.firstColumn($0)!) }) {
      if let dot = dots(source) { GlobalAverage.forward(dot, into: feature, first: first, run.context) }
    }
    return try neck.forwardTangent(feature, run.accumulating)
  }

  /// The neck's part, down to the feature; `gradient` goes on from there.
  package func backward(_ bars: HeadValues<A>, _ pass: BackwardPass, _ run: Run<E>) throws {
    featureBar = try neck.backward(bars, pass, run.accumulating)
    pass.gradients?.complete(head.range)
  }

  /// The gradient of a source's map, with `addend`, finished by `target`; nil if this head does not read it.
  func gradient(
    _ source: MapSource, adding addend: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>
  ) -> Gradient<E>? {
    guard let index = head.sources.firstIndex(of: source), let first = head.firstColumn(source) else { return nil }
    return GlobalAverage.backward(
      after("the backward pass of the neck", featureBar), first: first, shapes[index], adding: addend, target,
      run.context)
  }
}
