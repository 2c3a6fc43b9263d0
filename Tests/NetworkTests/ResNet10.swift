import Layers
import Network
import Tensors

/// Four stages of one basic block each, ResNet's stem before them.
package enum ResNet10<E: Element> {
  package static func trunk(_ builder: inout NetworkBuilder<E>) -> Trunk<E> {
    let full = [64, 128, 256, 512], channels = full.map(builder.architecture.channels)
    let (stem, range) = builder.recorded { builder in
      PooledStem(
        NormalizedConvolution(
          builder.convolution("conv1", 3, channels[0], kernel: 7, stride: 2, readsImages: true),
          builder.norm("bn1", channels[0])))
    }
    let stages = channels.indices.map { index in
      let name = "layer\(index + 1).0", inputs = channels[max(0, index - 1)]
      let (block, range) = builder.recorded {
        $0.basicBlock(
          name, inputs: inputs, outputs: channels[index], stride: index == 0 ? 1 : 2, downsample: index > 0,
          stage: index + 1)
      }
      return [Trunk<E>.Recorded(name: name, layer: block, range: range)]
    }
    return Trunk(stem: .init(name: "stem", layer: stem, range: range), stages: stages, channels: channels)
  }
}
