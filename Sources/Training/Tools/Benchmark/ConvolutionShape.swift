import Layers
import Network
import Tensors

/// What decides how long a convolution of the network takes, but for the number of images.
package struct ConvolutionShape: Codable, Hashable, Sendable, CustomStringConvertible {
  /// Pixels of the input.
  package let height: Int, width: Int
  /// Channels.
  package let inputs: Int, outputs: Int
  package let kernel: Int, stride: Int, padding: Int
  /// Whether it reads the images: nothing is pending on them, and a plain step does not take their gradient.
  package let readsImages: Bool

  /// The shape of the input of `images` images.
  package func input(_ images: Int) -> Shape { Shape(images, height, width, inputs) }

  /// 64×32  256 → 64  3×3 /2
  package var description: String {
    "\(height)×\(width)  \(inputs) → \(outputs)  \(kernel)×\(kernel)"
      + (stride > 1 ? " /\(stride)" : "")
  }
}

/// A shape, and how many of a step's convolutions have it.
package struct CountedConvolution: Sendable {
  package let shape: ConvolutionShape
  package fileprivate(set) var count: Int
}

extension ReIDNetwork {
  /// The distinct convolutions of a step on images of height × width, in the order of the forward pass. Without the neck's
  /// linear layers.
  package func convolutions(height: Int, width: Int) -> [CountedConvolution] {
    var list = ConvolutionList()
    var shape = list.add(backbone.stem.convolution, Shape(1, height, width, 3), readsImages: true)
    shape = MaxPool<E>.outputShape(shape)
    var outputs: [Shape] = []
    for blocks in backbone.stages {
      for block in blocks { shape = list.add(block, shape) }
      outputs.append(shape)
    }
    var above: Shape?
    for stage in pyramid.stages.reversed() where !pyramid.isDirect {
      let c = outputs[stage - 1]
      let level = c.with(channels: architecture.pyramidChannels)
      if let lateral = pyramid.lateral[stage] { list.add(lateral, c) }
      // Before the upsampling (`Pyramid`).
      if let above, let smooth = pyramid.smooth[stage] { list.add(smooth, above) }
      for block in pyramid.fusion[stage] ?? [] { list.add(block, level) }
      above = level
    }
    return list.rows
  }
}

private struct ConvolutionList {
  private(set) var rows: [CountedConvolution] = []

  /// Returns the shape of the output.
  @discardableResult
  mutating func add<E: Element>(
    _ convolution: Convolution<E>, _ input: Shape, readsImages: Bool = false
  ) -> Shape {
    let shape = ConvolutionShape(
      height: input.height, width: input.width, inputs: convolution.inputChannels,
      outputs: convolution.outputChannels,
      kernel: convolution.kernel, stride: convolution.stride, padding: convolution.padding,
      readsImages: readsImages)
    if let index = rows.firstIndex(where: { $0.shape == shape }) {
      rows[index].count += 1
    } else {
      rows.append(CountedConvolution(shape: shape, count: 1))
    }
    return convolution.outputShape(input)
  }

  @discardableResult
  mutating func add<E: Element>(_ block: Bottleneck<E>, _ input: Shape) -> Shape {
    let first = add(block.first.convolution, input)
    let second = add(block.second.convolution, first)
    if let downsample = block.downsample { add(downsample.convolution, input) }
    return add(block.third.convolution, second)
  }
}
