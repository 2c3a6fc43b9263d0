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
  /// 1, or as many as channels: each is convolved by itself.
  package let groups: Int
  /// Whether it reads the images: nothing is pending on them, and a plain step does not take their gradient.
  package let readsImages: Bool

  /// The shape of the input of `images` images.
  package func input(_ images: Int) -> Shape { Shape(images, height, width, inputs) }

  /// 64×32  256 → 64  3×3 /2
  package var description: String {
    "\(height)×\(width)  \(inputs) → \(outputs)  \(kernel)×\(kernel)" + (stride > 1 ? " /\(stride)" : "")
      + (groups > 1 ? " depthwise" : "")
  }
}

/// A shape, and how many of a step's convolutions have it.
package struct CountedConvolution: Sendable {
  package let shape: ConvolutionShape
  package fileprivate(set) var count: Int
}

extension ReIDNetwork {
  /// The distinct convolutions of a step on images of height × width, in the order of the forward pass. Without the necks'
  /// linear layers, and those of gates, which read means.
  package func convolutions(height: Int, width: Int) throws -> [CountedConvolution] {
    var list: [CountedConvolution] = []
    for use in try inventory(height: height, width: width).uses
    where use.weight.kind == .convolution && (use.input.area > 1 || use.geometry.kernel > 1) {
      let shape = ConvolutionShape(
        height: use.input.height, width: use.input.width, inputs: use.geometry.inputs, outputs: use.geometry.outputs,
        kernel: use.geometry.kernel, stride: use.geometry.stride, padding: use.geometry.padding,
        groups: use.geometry.groups, readsImages: readsImages(use.weight))
      if let index = list.firstIndex(where: { $0.shape == shape }) {
        list[index].count += 1
      } else {
        list.append(CountedConvolution(shape: shape, count: 1))
      }
    }
    return list
  }
}
