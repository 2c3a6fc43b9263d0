import Layers
import Tensors

/// One row of the table that `lineup describe` prints.
package struct LayerDescription: Sendable {
  package let name: String
  /// The shape of the output for one image.
  package let output: Shape
  /// Trainable scalars, counted where they first appear.
  package let parameters: Int
  /// Multiply-adds of one image's forward pass, counted as published networks are: `smooth` after the upsampling.
  package let multiplyAdds: Int
}

extension ReIDNetwork {
  /// The layers for images of height × width. The classifier is the last row.
  package func description(height: Int, width: Int) -> [LayerDescription] {
    var table = DescriptionTable<E>()
    var shape = table.add("conv1 + bn1", backbone.stem, Shape(1, height, width, 3))
    shape = MaxPool<E>.outputShape(shape)
    table.rows.append(LayerDescription(name: "maxpool", output: shape, parameters: 0, multiplyAdds: 0))
    var outputs: [Shape] = []
    for (stage, blocks) in backbone.stages.enumerated() {
      for (index, block) in blocks.enumerated() { shape = table.add("layer\(stage + 1).\(index)", block, shape) }
      outputs.append(shape)
    }
    for stage in pyramid.stages where !pyramid.isDirect {
      let c = outputs[stage - 1]
      let level = c.with(channels: architecture.pyramidChannels)
      if let lateral = pyramid.lateral[stage] { table.add("pyramid.lateral.\(stage)", lateral, c) }
      if let smooth = pyramid.smooth[stage] { table.add("pyramid.smooth → \(stage)", smooth, level) }
      for (use, block) in (pyramid.fusion[stage] ?? []).enumerated() {
        table.add("fusion.\(stage).\(use)", block, level)
      }
    }
    let feature = Shape(1, 1, 1, architecture.featureChannels), embedding = Shape(1, 1, 1, architecture.embedding)
    table.rows.append(
      LayerDescription(name: "neck.bn", output: feature, parameters: 2 * feature.channels, multiplyAdds: 0))
    table.rows.append(
      LayerDescription(
        name: "neck.fc", output: embedding, parameters: neck.fc.weight.count + (neck.fc.bias?.count ?? 0),
        multiplyAdds: neck.fc.multiplyAdds(feature)))
    table.rows.append(
      LayerDescription(
        name: "classifier", output: Shape(1, 1, 1, architecture.identities),
        parameters: neck.classifier.weight.count + (neck.classifier.bias?.count ?? 0),
        multiplyAdds: neck.classifier.multiplyAdds(embedding)))
    return table.rows
  }
}

/// Collects rows; remembers which convolutions have been counted.
private struct DescriptionTable<E: Element> {
  var rows: [LayerDescription] = []
  private var counted: Set<String> = []

  private mutating func parameters(_ convolution: Convolution<E>) -> Int {
    guard counted.insert(convolution.weight.name).inserted else { return 0 }
    return convolution.weight.count + (convolution.bias?.count ?? 0)
  }

  @discardableResult
  mutating func add(_ name: String, _ convolution: Convolution<E>, _ input: Shape) -> Shape {
    let output = convolution.outputShape(input)
    rows.append(
      LayerDescription(
        name: name, output: output, parameters: parameters(convolution), multiplyAdds: convolution.multiplyAdds(input)))
    return output
  }

  mutating func add(_ name: String, _ unit: NormalizedConvolution<E>, _ input: Shape) -> Shape {
    let output = unit.convolution.outputShape(input)
    rows.append(
      LayerDescription(
        name: name, output: output, parameters: parameters(unit.convolution) + 2 * output.channels,
        multiplyAdds: unit.convolution.multiplyAdds(input)))
    return output
  }

  @discardableResult
  mutating func add(_ name: String, _ block: Bottleneck<E>, _ input: Shape) -> Shape {
    var shape = input, scalars = 0, multiplyAdds = 0
    for unit in [block.first, block.second, block.third] {
      scalars += parameters(unit.convolution) + 2 * unit.norm.channels
      multiplyAdds += unit.convolution.multiplyAdds(shape)
      shape = unit.convolution.outputShape(shape)
    }
    if let side = block.downsample {
      scalars += parameters(side.convolution) + 2 * side.norm.channels
      multiplyAdds += side.convolution.multiplyAdds(input)
    }
    rows.append(LayerDescription(name: name, output: shape, parameters: scalars, multiplyAdds: multiplyAdds))
    return shape
  }
}
